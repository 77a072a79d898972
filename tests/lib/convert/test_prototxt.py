"""The text format: what it reads, what it writes, and which line it blames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullconv.lib.convert import prototxt
from fullconv.lib.convert.errors import ConvertError
from fullconv.lib.convert.prototxt import Message, Word

TEXT = """
# a comment
name: "net" input: 'data'  # another
input_dim: [1, 3]
layer { name: "a\\"b" type: "Input" value: -1.5e-3, flag: true; mode: MAX
  inner: < x: .5 x: +7 >
}
layer {}
"""


def test_everything_the_format_has():
    net = prototxt.parse(TEXT)
    assert net.keys() == ["name", "input", "input_dim", "layer"]
    assert net.get("name") == "net" and net.get("input") == "data" and net.all("input_dim") == [1, 3]
    first, second = net.all("layer")
    assert first.get("name") == 'a"b' and first.get("value") == -0.0015 and first.line == 5 and not second.fields
    assert isinstance(first.get("flag"), Word) and isinstance(first.get("mode"), Word)
    assert first.get("inner").all("x") == [0.5, 7] and first.get("absent", 9) == 9


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: 1\nb", "line 2: ':' or '{' after b expected, found the end"),
        ("a {\n b: 1", "line 2: a field name or '}' expected, found the end"),
        ("a: 1\n}", "line 2: a field name expected, found '}'"),
        ("a: }", "line 1: a value expected, found '}'"),
        ("a: 1x", "line 1: a number expected, found '1x'"),
        ("a: 1e999", "line 1: a number expected"),
        ("a: " + "9" * 5000, "line 1: a number expected"),
        ("a: [1, 2", "line 1: a value expected, found the end"),
        ('a: "open', "line 1: '\"open' is not prototxt"),
        ("\n\na: @", "line 3: '@' is not prototxt"),
        ("a {" * 40, "line 1: more than 32 messages inside each other"),
        ("a:1 " * 100_001, "more than 100000 fields: not a network"),
    ],
)
def test_mistakes_name_their_line(text, message):
    with pytest.raises(ConvertError) as error:
        prototxt.parse(text)
    assert str(error.value).startswith(message)


words = st.sampled_from(["MAX", "true", "false", "_x1"]).map(Word)
scalars = st.one_of(
    st.integers(-(10**12), 10**12),
    st.floats(-1e299, 1e299),
    words,
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x85\u2028\u2029"), max_size=9),
)
messages = st.recursive(
    st.builds(Message),
    lambda inner: st.lists(
        st.tuples(st.sampled_from(["a", "b_2", "layer"]), st.one_of(scalars, inner)), max_size=4
    ).map(lambda pairs: Message([prototxt.Field(key, value, 0) for key, value in pairs])),
    max_leaves=12,
)


def plain(message):
    return [(f.key, plain(f.value) if isinstance(f.value, Message) else f.value) for f in message.fields]


@settings(max_examples=200, deadline=None)
@given(messages)
def test_what_is_written_reads_the_same(message):
    assert plain(prototxt.parse(prototxt.dump(message))) == plain(message)


def test_files(tmp_path):
    path = tmp_path / "net.prototxt"
    with pytest.raises(FileNotFoundError, match="net.prototxt: no such file"):
        prototxt.load(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConvertError, match="net.prototxt: not text .is it the caffemodel"):
        prototxt.load(str(path))
    path.write_text("layer {")
    with pytest.raises(ConvertError, match="net.prototxt: line 1: "):
        prototxt.load(str(path))
    with path.open("wb") as file:
        file.truncate(prototxt.MAX_BYTES + 1)
    with pytest.raises(ConvertError, match="larger than 4 MB"):
        prototxt.load(str(path))


@pytest.mark.parametrize(
    "text, value",
    [
        ("0.75f", 0.75),
        ("1F", 1.0),
        ("1.", 1.0),
        (".5e-3f", 0.0005),
        ("0x1F", 31),
        ("-0x10", -16),
        ("017", 15),
        ("0", 0),
        ("False", "False"),
        ('"a" \'b\'\n"c"', "abc"),
        (r'"\x41\101\n\t\\\"\'\a"', "AA\n\t\\\"'\a"),
        (r'"\303\251"', "\u00e9"),
        ('"\u00e9"', "\u00e9"),
        ("[]", None),
    ],
)
def test_spellings_of_a_value(text, value):
    found = prototxt.parse(f"a: {text} b: 1")
    assert found.get("a") == value and type(found.get("a")) in (type(value), Word) and found.get("b") == 1


@pytest.mark.parametrize(
    "text", ["a { x: 1 }", "a: { x: 1 }", "a < x: 1 >", "a: <x: 1;>;", "a: [{ x: 1 }]", "a{x:1#}\n}"]
)
def test_spellings_of_a_message(text):
    (inner,) = prototxt.parse(text).all("a")
    assert inner.all("x") == [1]


def test_marks_and_foreign_comments(tmp_path):
    """A byte-order mark, and comments in an encoding that nobody states."""
    path = tmp_path / "net.prototxt"
    for content in (b"\xef\xbb\xbfa: 1", "# \u5377\u79ef\na: 1".encode("gbk"), "a: 1 # caf\u00e9".encode("latin-1")):
        path.write_bytes(content)
        assert prototxt.load(str(path)).get("a") == 1


def test_a_string_without_end_is_no_search_for_one():
    with pytest.raises(ConvertError, match="line 1: .* the string is not closed"):
        prototxt.parse('a: "open\nb: "x"')
    with pytest.raises(ConvertError, match="line 1: .* a string of more than 65536 characters"):
        prototxt.parse('a: "' + "x" * 100_000 + '"')
