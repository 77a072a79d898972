"""Multipliers of the learning rate and of decay: from symbols and by rules on names."""

import mxnet as mx

from fullconv.lib.core.optimizer.multipliers import Rule, lr_multipliers, wd_multipliers


def test_multiplier_of_an_operator_reaches_weight_and_bias():
    data = mx.sym.Variable("data")
    net = mx.sym.FullyConnected(data, num_hidden=2, name="new", attr={"lr_mult": "3.00"})
    mults = lr_multipliers(mx.sym.FullyConnected(net, num_hidden=2, name="old"))
    assert mults["new_weight"] == mults["new_bias"] == 3.0
    assert "old_weight" not in mults


def test_rules_on_names_win_over_the_symbol_and_the_first_over_the_others():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="a", attr={"lr_mult": "3.0"})
    net = mx.sym.FullyConnected(net, num_hidden=2, name="b")
    rules = [Rule("b_bias", lr_mult=5.0), Rule("*bias*", 2.0, 0.0)]
    assert lr_multipliers(net, rules) == {"a": 3.0, "a_weight": 3.0, "a_bias": 2.0, "b_bias": 5.0}
    assert wd_multipliers(net, rules) == {"a_bias": 0.0, "b_bias": 0.0}
