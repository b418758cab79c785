from autoclip_sep.figures import footer
from autoclip_sep.figures.runs import frame


def test_a_footer_names_corpus_scale_commits_and_device(add_run):
    found = [add_run(seed=0), add_run(seed=2, loss="snr", epochs=150, commit="def")]
    assert footer.line(frame(found)) == (
        "corpus demo (synthetic speech, a stand-in for WSJ0-2mix, ffffffff)  ·  "
        "blstm_demo (2 × 128, batches of 4)  ·  20 to 1,500 iterations  ·  seeds 0, 2  ·  "
        "commit abc1234567, def  ·  a CPU  ·  2026-01-02"
    )


def test_many_commits_and_seeds_are_counted(add_run):
    runs = frame([add_run(seed=seed, commit=f"c{seed}") for seed in range(9)])
    assert footer.provenance(runs)["commit"] == "c0, c1, c2, c3 and 5 more"
    assert footer.seeds(runs) == "9 seeds"


def test_a_network_of_ones_own_is_named_by_its_class_and_once_without_digits(add_run):
    network = {"_target_": "torchaudio.models.ConvTasNet", "num_sources": 2}
    found = [add_run(model="dual-path", network=network, changed=digits) for digits in ("", "2a")]
    assert "  dual-path (ConvTasNet, batches of 4)" in footer.line(frame(found))
    assert footer.provenance(frame(found))["model"] == "dual-path, dual-path-2a"


def test_an_unknown_origin_is_named_unknown(add_run):
    run = add_run(corpus="digits", done=0, grad_norm=[])
    (run.directory / "provenance.json").unlink()
    line = footer.line(frame([run]))
    assert line.startswith("corpus digits (unknown)")
    assert "unknown iterations  ·  seed 0  ·  commit unknown  ·  unknown device" in line
    assert line.endswith("  ·  unknown date")
