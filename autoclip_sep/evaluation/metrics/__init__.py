"""The metrics that `metrics=` names, each as a class and a file in configs/metric/."""
