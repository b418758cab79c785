from autoclip_sep.errors import InputError
from autoclip_sep.figures.run_pairs import draw_each, pairs
from autoclip_sep.figures.runs import frame


def names(found):
    return [
        [run.directory.parent.name + "/" + run.directory.name for run in pair["run"]]
        for pair in pairs(frame(found))
    ]


def test_the_lowest_seed_that_has_both_is_taken(add_run):
    found = [
        add_run("autoclip_p10", 0), add_run("autoclip_p10", 2), add_run("autoclip_p100", 2),
        add_run("autoclip_p10", 1), add_run("none", 1), add_run("autoclip_p25", 0),
    ]  # fmt: skip
    assert names(found) == names(found[::-1]) == [["none/seed1", "autoclip_p10/seed1"]]


def test_corpus_loss_model_and_other_settings_are_never_mixed(add_run):
    found = [
        add_run("autoclip_p10"),
        add_run("autoclip_p100", corpus="digits"), add_run("autoclip_p100", loss="snr"),
        add_run("autoclip_p100", model="blstm"), add_run("autoclip_p100", changed="abcdef"),
    ]  # fmt: skip
    assert names(found) == []


def test_each_pair_has_a_stem_of_its_own_in_order_and_what_fails_is_a_line(add_run, tmp_path):
    found = [
        add_run(label, seed, loss=loss)
        for seed, loss in enumerate(("snr", "mask_inference"))
        for label in ("none", "autoclip_p10")
    ]

    def draw(pair, stem):
        assert pair["percentile"].tolist() == [100, 10]
        if pair["loss"].iloc[0] == "mask_inference":
            raise InputError("too short")
        return str(stem)

    lines = draw_each(frame(found), draw, tmp_path / "picture")
    assert lines == ["not drawn: too short", str(tmp_path / "picture_demo_snr_blstm_demo")]
    (line,) = draw_each(frame(found[:1]), draw, tmp_path / "picture")
    assert line.startswith("not drawn: picture, no two runs with p = 10 and p = 100")
