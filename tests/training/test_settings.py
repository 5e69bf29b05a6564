from fetalseg.training.settings import differences


def test_settings_that_went_through_json_are_the_same_settings():
    assert differences({"data": ["a", 1.0], "init": None}, {"data": ("a", 1.0), "init": None}) == ""


def test_what_differs_is_named_with_both_values_also_where_one_side_lacks_it():
    assert differences({"seed": 0, "lr": 1.0}, {"lr": 2.0, "ship": "last"}) == (
        "lr was 1.0 and is 2.0, seed was 0 and is None, ship was None and is last"
    )
