"""Makes the real lm-eval runs that the tests attach to.

    make_runs.py FOLDER [RUN...]

Each run goes through `lm_eval.__main__.cli_evaluate` with the command line of `RUNS`, into
`FOLDER/<run>`. They share one process, since importing the harness takes longer than a run.
Nothing is downloaded: HF_HUB_OFFLINE and HF_DATASETS_OFFLINE are set.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

CHOICES = (
    "t_mc,t_mi,t_ragged,t_digits,t_several,t_norm_only,t_brier_only,t_mc_exact,t_median,t_prefix"
)
TEXTS = "t_gen,t_gen_raw,t_gen_several,t_gen_choice,t_gen_repeats"
ALL = f"{CHOICES},t_wino,t_wino3,{TEXTS},t_ll,t_roll,t_group"

# Name of the run: (tasks, output path below the run's folder, further flags).
RUNS: dict[str, tuple[str, str, list[str]]] = {
    "plain": (ALL, "", ["--log_samples"]),
    "json_path": ("t_mc,t_gen", "x.json", ["--log_samples"]),
    "limit": ("t_mc,t_gen,t_ll", "", ["--log_samples", "--limit", "7"]),
    "predict_only": ("t_mc,t_digits,t_wino,t_gen,t_ll", "", ["--predict_only"]),
    "chat": (
        "t_mc,t_mi,t_prefix,t_wino,t_gen",
        "",
        ["--log_samples", "--apply_chat_template", "--system_instruction", "Be brief."],
    ),
    "fewshot": (
        "t_mc,t_gen",
        "",
        ["--log_samples", "--num_fewshot", "2", "--apply_chat_template", "--fewshot_as_multiturn"],
    ),
    "no_samples": ("t_mc,t_ll", "", []),
}


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
        HF_HOME=str(folder / ".hf"),
        DISABLE_MULTIPROC="1",
        TOKENIZERS_PARALLELISM="false",
    )
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import dataset
    import tiny_lm  # noqa: F401  (registers the model)
    from lm_eval.__main__ import cli_evaluate

    tasks = dataset.write(folder / ".tasks")
    for name in sys.argv[2:] or RUNS:
        names, output, flags = RUNS[name]
        sys.argv = [
            "lm_eval",
            "run",
            *("--model", "mirage-tiny", "--model_args", "pretrained=mirage/tiny"),
            *("--include_path", str(tasks), "--tasks", *names.split(",")),
            *("--output_path", str(folder / name / output), *flags),
        ]
        cli_evaluate()


if __name__ == "__main__":
    main()
