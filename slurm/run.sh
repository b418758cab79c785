# What one_node.sbatch and nodes.sbatch do: train, and requeue a job that isn't at its end.

export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK    # bits depend on it: the same on every node

# After one process has ended, the others have a minute. Not --kill-on-bad-exit: they end in seconds
# by themselves, and say why.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --wait=60 python train.py "$@"
code=$?    # the highest of all processes

# 140: saved after USR2. 1: a process was lost. 137: killed, perhaps because memory ran out.
# The others would come again (2: wrong input), or nobody wants to go on (143: scancel).
case $code in
    140) again=true ;;
    1 | 137) test "${SLURM_RESTART_COUNT:-0}" -lt 20 && again=true ;;
esac
if test "$again"; then
    echo "exit code $code: back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
