"""The exact parameter counts of MNIST-1D's models, as the issue and the paper's Table 2 give them."""

PARAMETERS = {
    "gle": 42_040,
    "gle-15k": 14_956,
    "gle-42k": 42_040,
    "lagnet-le": 4_930,
    "mlp": 47_210,
    "mlp-published": 23_210,
    "mlp-0": 15_210,
    "tcn": 11_210,
    "tcn-table2": 11_960,
    "tcn-0": 5_210,
    "gru": 8_974,
    "gru-0": 5_134,
}
