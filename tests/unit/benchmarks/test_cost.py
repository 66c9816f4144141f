from benchmarks import cost


def test_costliest_functions_are_those_with_most_own_samples():
    stacks = "main (a.py);work (b.py) 30\nmain (a.py) 5\nmain (a.py);other (c.py);work (b.py) 10\n"
    ms = 1000 / cost._RATE / cost.IMAGES
    assert cost.costliest(stacks) == {"work (b.py)": 40 * ms, "main (a.py)": 5 * ms}


def test_costliest_functions_are_limited():
    stacks = "\n".join(f"f{number} (a.py) {number}" for number in range(1, 50))
    functions = cost.costliest(stacks)
    assert len(functions) == cost.FUNCTIONS
    assert next(iter(functions)) == "f49 (a.py)"


def test_no_samples_give_no_functions():
    assert cost.costliest("") == {}
