"""The spellings of command lines that mean the same, and answers to flags and names of other programs.

`--g-lr 2e-4` is `--g_lr 2e-4`; `--fsdp`, `--fsdp true` and `--no_fsdp` set a switch; `--steps 1e4` is a whole number."""

import re
from collections.abc import Collection, Mapping

from gan_jax.errors import InputError, unknown

# Flags of other programs -> what to type here. {value} is what was typed.
FLAGS = {
    "learning_rate": "each player has its own: --g_lr {value} --d_lr {value}",
    "epochs": "training is counted in generator steps: --steps N, where an epoch is as many steps as batches fit in the data",
    "batch_size": "use --batch {value}",
    "latent_dim": "use --z_dim {value}",
    "dataset": "use --data {value}",
    "gpu": "a GPU is used if JAX is installed for it: pip install 'jax[cuda13]'; CUDA_VISIBLE_DEVICES chooses among several",
    "cpu": "JAX_PLATFORMS=cpu, set before the command, trains on the CPU",
    "num_workers": "data that fits in memory stays on the device, and streamed data is read ahead without options",
    "resume": "the same command again resumes",
    "output": "use --run_dir {value}",
    "wandb": "use --log wandb",
    "tensorboard": "use --log tensorboard",
    "amp": "use --compute bfloat16",
    "n_critic": "use --d_steps {value}",
    "lambda_gp": "use --penalty gradient_penalty --gamma {value}",
    "optimizer": "each player has its own: --g_optimizer {value} --d_optimizer {value}",
    "spectral_norm": "use --d_norm spectral",
}
_SAME = {
    "learning_rate": "lr",
    "epochs": "epoch n_epochs num_epochs",
    "batch_size": "bs batchsize",
    "latent_dim": "nz latent_size z_size dim_z",
    "dataset": "data_path dataroot",
    "gpu": "gpus gpu_id gpu_ids cuda device num_gpus n_gpu",
    "num_workers": "workers n_workers",
    "resume": "resume_from continue",
    "output": "out outdir out_dir output_dir logdir log_dir save_dir result_dir",
    "tensorboard": "tb",
    "amp": "fp16 bf16 mixed_precision half",
    "n_critic": "num_d_steps d_iters",
    "lambda_gp": "gp_weight lambda_",
    "optimizer": "optim",
    "spectral_norm": "sn",
}
FLAGS |= {name: FLAGS[first] for first, names in _SAME.items() for name in names.split()}

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE]\+?[0-9]{1,2})?")


def whole(text: str) -> str:
    """A whole number as digits, if `text` is one in another notation, such as 1e4; else `text`."""
    stripped = text.strip()
    if not _WHOLE.fullmatch(stripped) or stripped.lstrip("+-").isdigit():
        return text
    mantissa, _, exponent = stripped.lower().partition("e")
    whole_part, _, decimals = mantissa.partition(".")
    shift = int(exponent or 0)
    kept, rest = decimals[:shift].ljust(shift, "0"), decimals[shift:]
    return text if rest.strip("0") else str(int(whole_part + kept))


def usual_spelling(argv: Collection[str], flags: Collection[str], switches: Mapping[str, bool]) -> list[str]:
    """The command line in the one spelling that the parsers know.

    `flags` are all flags, without dashes. `switches` are those that are on or off, and whether the parser wants a value: those
    that do become --NAME=true or --NAME=false, the others --NAME or nothing. A value that is neither true nor false belongs to
    no switch: it is the next argument."""
    parts, result = list(argv), []
    while parts:
        part = parts.pop(0)
        if part == "--" or not part.startswith("--"):
            result.append(part)
            continue
        typed, equals, value = part[2:].partition("=")
        name = typed.replace("-", "_")
        positive = name.removeprefix("no_")
        if name not in switches and not (name not in flags and positive in switches):
            result.append(f"--{name if name in flags else typed}{equals}{value}")
            continue
        if not equals and parts and parts[0].lower() in ("true", "false"):
            equals, value = "=", parts.pop(0)
        on, name = (True, name) if name in switches else (False, positive)
        if equals:
            if value.lower() not in ("true", "false"):
                raise InputError(f"{name}: expected true or false, got {value!r}")
            on = on == (value.lower() == "true")
        if switches[name]:
            result.append(f"--{name}={str(on).lower()}")
        elif on:
            result.append(f"--{name}")
    return result


def unknown_flag(what: str, name: str, value: str, known: Collection[str]) -> InputError:
    """The error for a flag that does not exist (`what`: a field or an option): what to type for a flag of other programs, or
    else the nearest one. Advice that names flags which the command lacks is not given."""
    advice = FLAGS.get(name.replace("-", "_").lower(), "")
    if advice and set(re.findall(r"--(\w+)", advice)) <= set(known):
        value = "VALUE" if not value or value.startswith("-") else value
        return InputError(f"there is no --{name}: {advice.format(value=value)}")
    return unknown(what, name, known)
