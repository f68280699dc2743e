"""The exact parameter counts of the models, of which the paper gives many (Tables 2 and 3)."""

PARAMETERS = {
    "gle": 42_040,
    "gle-15k": 14_956,
    "gle-42k": 42_040,
    "lagnet-le": 4_930,
    "nla": 14_956,
    "mlp": 47_210,
    "mlp-published": 23_210,
    "mlp-0": 15_210,
    "tcn": 11_210,
    "tcn-table2": 11_960,
    "tcn-0": 5_210,
    "gru": 8_974,
    "gru-0": 5_134,
    "lstm": 9_082,
    "lru": 14_362,
}

GSC_PARAMETERS = {"gle": 1_160_262, "mlp": 495_744, "tcn": 476_734, "gru": 498_012, "lstm": 492_620}  # Table 3

MACKEY_GLASS_PARAMETERS = {  # of the networks of about the size of gle, whose 9,301 the paper gives
    "mlp": 5 * 93 + 94 * 93 + 94,
    "mlp-window": 51 * 74 + 75 * 74 + 75,
    "tcn": 3 * 30 + 5 * (61 * 30) + 31,
    "gru": 3 * (54 + 54 * 54 + 2 * 54) + 55,  # with PyTorch's two biases
}

CIFAR10_PARAMETERS = {
    "le": 657_080,
    "gle": 657_080,
    "bp": 657_080,
    "bp-matched": 657_080,
}  # 1,520 + 25,050 + 625,500 + 5,010

CIFAR10_BASELINES = {  # {model: parameters}, weights that do not learn included
    "gle-rows": (96 + 1) * 545 + 2 * (545 + 1) * 545 + (545 + 1) * 10,
    "gru": 3 * (96 + 420 + 1) * 420 + (420 + 1) * 10,
    "lstm": 4 * (96 + 358 + 1) * 358 + (358 + 1) * 10,
    "tcn": (5 * 96 + 1) * 290 + 2 * (3 * 290 + 1) * 290 + (4 * 290 + 1) * 10,
    "mlp": (3072 + 1) * 200 + (200 + 1) * 200 + (200 + 1) * 10,
    "esn": (1 + 96 + 758) * 758 + (1 + 96 + 758) * 10,
}
