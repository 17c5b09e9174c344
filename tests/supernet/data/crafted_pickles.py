"""Pickles that once ran code, crashed, hung or took all memory, and others of their kinds.

The opcodes are written by hand, since `pickle` writes no such files.
"""


def proto2(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def value_of(body: bytes) -> bytes:
    """A pickle of {"data": <what the opcodes leave on the stack>}."""
    return proto2(b"}U\x04data" + body + b"s")


def array_of(dtype: bytes, shape: bytes = b"K\x02\x85", raw: bytes = b"U\x02\x01\x02") -> bytes:
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return value_of(empty + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb")


def dtype_of(
    code: bytes = b"u1", state: bytes = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffK\x00K\x00tb"
) -> bytes:
    return b"cnumpy\ndtype\nU" + bytes([len(code)]) + code + b"K\x00K\x01\x87R" + state


TWENTY_NESTED = b")" + b"q\x00h\x00\x86" * 20
CRAFTED = {
    "an object array": (array_of(dtype_of(b"O8")), "numbers of kind 'O8'"),
    "a record": (array_of(dtype_of(b"u1,O")), "numbers of kind 'u1,O'"),
    "endless text": (array_of(dtype_of(b"U99999999")), "numbers of kind 'U99999999'"),
    "a code that is a dtype": (
        value_of(b"cnumpy\ndtype\n(cnumpy\nndarray\nK\x00K\x01tR"),
        "of kind Name",
    ),
    "fields in the state": (array_of(dtype_of(state=b"(K\x03U\x01|N}}KkK\x08K?tb")), "has fields"),
    "a subarray in the state": (
        array_of(dtype_of(state=b"(K\x03U\x01|K\x01NNK\x01K\x01K?tb")),
        "has fields",
    ),
    "two states": (
        array_of(dtype_of(state=b"(K\x03U\x01|NNNK\x00tb(K\x03U\x01|NNNK\x00tb")),
        "dtype has an odd state",
    ),
    "a byte order that is none": (
        array_of(dtype_of(state=b"(K\x03U\x01xNNNK\x00tb")),
        "odd byte order",
    ),
    "a state that is a dict": (array_of(dtype_of(state=b"}b")), "dtype has an odd state"),
    "a shape of 2^60": (array_of(dtype_of(), b"\x8a\x08\0\0\0\0\0\0\0\x10\x85"), "odd shape"),
    "a shape that overflows": (
        array_of(dtype_of(), b"(J\0\0\0\x40J\0\0\0\x40J\0\0\0\x40J\0\0\0\x40t"),
        "do not fill its shape",
    ),
    "a negative shape": (array_of(dtype_of(), b"J\xff\xff\xff\xff\x85"), "odd shape"),
    "bytes too few": (array_of(dtype_of(b"f8")), "2 bytes do not fill its shape"),
    "bytes that are a list": (array_of(dtype_of(), raw=b"]"), "no bytes of a dtype"),
    "an array that stays empty": (
        value_of(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"),
        "a value is neither",
    ),
    "another thing reconstructed": (
        value_of(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R"),
        "something that is not an array",
    ),
    "a number of too few bytes": (
        value_of(b"cnumpy.core.multiarray\nscalar\n" + dtype_of(b"f8") + b"U\x01\x01\x86R"),
        "bytes do not fill its dtype",
    ),
    "a number without a dtype": (
        value_of(b"cnumpy.core.multiarray\nscalar\nU\x02f8U\x01\x01\x86R"),
        "number has no dtype",
    ),
    "bytes of 2^31": (
        value_of(b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R"),
        "bytes of something",
    ),
    "a memo of 2^31 places": (
        value_of(b"K\x01r\xff\xff\xff\x7fj\xfe\xff\xff\x7f"),
        "which it has not kept",
    ),
    "2 GiB of text claimed": (value_of(b"T\xff\xff\xff\x7fabc"), "claims 2147483647 bytes"),
    "text of negative length": (value_of(b"T\xff\xff\xff\xffabc"), "claims -1 bytes"),
    "2^63 bytes claimed": (value_of(b"\x8e" + b"\xff" * 8 + b"abc"), "bytes more than it has"),
    "a frame longer than the file": (value_of(b"\x95" + b"\xff" * 8), "longer than the file"),
    "nested tuples as a key": (proto2(b"}" + TWENTY_NESTED + b"K\x01s"), "key that is not text"),
    "nested tuples in a list": (
        value_of(b"]" + TWENTY_NESTED + b"a"),
        "something else than numbers",
    ),
    "nested tuples as a value": (value_of(TWENTY_NESTED), "a value is neither"),
    "nested tuples as a name": (value_of(TWENTY_NESTED + b"U\x01x\x93"), "a name that is not text"),
    "a set": (value_of(b"c__builtin__\nset\n(]tR"), "names __builtin__.set"),
    "a list that holds itself": (value_of(b"]q\x00h\x00a"), "something else than numbers"),
    "a dict that holds itself": (value_of(b"}q\x00U\x01ah\x00s"), "a value is neither"),
    "a name called that is no call": (value_of(b"cnumpy\nndarray\n)R"), "it calls ndarray"),
    "a call of text": (value_of(b"U\x01a)R"), "something that is not a name"),
    "the state of a list": (value_of(b"]}b"), "sets the state of a list"),
    "another encoding": (
        value_of(b"c_codecs\nencode\nX\x01\0\0\0aU\x03zip\x86R"),
        "another encoding",
    ),
    "a number of 5,000 digits": (value_of(b"I" + b"9" * 5000 + b"\n"), "too many digits"),
    "a class by its number": (value_of(b"\x82\x01"), r"the opcode b'\\x82'"),
    "an instance": (value_of(b"(ios\nsystem\n"), "the opcode b'i'"),
    "a new object": (value_of(b"cnumpy\nndarray\n)\x81"), r"the opcode b'\\x81'"),
    "a persistent number": (value_of(b"Pevil\n"), "the opcode b'P'"),
    "a call without arguments": (value_of(b"R"), "something that is not a name"),
    "no mark": (value_of(b"t"), "no mark"),
    "nothing": (b"", "cut short"),
    "an empty stack": (b".", "stack is empty"),
}
