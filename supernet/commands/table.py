"""The commands of `robust-supernet`, in the order and groups of its help."""

GROUPS: dict[str, dict[str, str]] = {
    "from images to a network": {
        "data": "say which images there are, and where; download or pack them",
        "search": "search a robust cell with one adversarially trained supernet",
        "train": "train one cell's network adversarially",
        "evaluate": "attack a trained network: FGSM, PGD-20, AutoAttack",
        "export": "write a trained network as torch.export program, ONNX and safetensors",
        "report": "write a search's report anew, or compare searches on one page",
    },
    "cells compared": {
        "benchmark": "look cells up in NAS-RobBench-201: query, top, stats, front, baselines",
        "rank": "rank cells by scores without training, or by a trained supernet",
        "sweep": "train and measure many cells on Ray; makes a table of your own",
        "evidence": "run many searches over seeds, and write the page that compares them",
    },
    "this installation": {
        "kernels": "say which kernels run here and why; build them",
        "completion": "print the completion of these commands for bash, zsh or tcsh",
    },
}
"""Title -> command -> what it does. Each is main() of the module of its name beside this file, and
has a script of its name in scripts/."""

COMMANDS = {name: words for group in GROUPS.values() for name, words in group.items()}
