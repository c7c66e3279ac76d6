"""Published weights: read without executing anything, downloaded despite interruptions and wrong content."""

import hashlib
import io
import json
import os
import pickle
import runpy
import socket
import struct
import threading
import tracemalloc
import zipfile
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from gan_jax.errors import InputError, RunError
from gan_jax.storage import npz, weights
from gan_jax.storage.cache import cache_path
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.storage.weights import Weights, convert, download

GOLDEN = Path(__file__).parents[1] / "golden"
COMMAND = Path(__file__).parents[2] / "experiments" / "weights.py"
EXPECTED = {  # golden/zip.pth and golden/legacy.pth, by torch.save of PyTorch 2.13; two tensors share one storage
    "weight": np.array([[0, 1.5], [0.5, 2], [1, 2.5]], np.float32),  # a transpose: strides (1, 3)
    "tail": np.array([2, 2.5], np.float32),
    "half": np.array([1.5, -2.25], np.float16),
    "count": np.array(7, np.int64),
}
CONTENT = np.random.RandomState(0).bytes(3_000_000)


def assert_same(tensors: dict, expected: dict) -> None:
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        assert (tensors[name].dtype, tensors[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(tensors[name], array)


# Reading


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])
def test_pytorch_files_of_both_formats(name):
    assert_same(load_tensors(GOLDEN / name), EXPECTED)


def test_torchscript_files():
    """golden/script.pt, by torch.jit.save of PyTorch 2.13, without its debug files: a module with modules within it."""
    halves = np.arange(3, dtype=np.float32) / 2
    expected = {"lpips0": halves.reshape(3, 1, 1), "inner.scale": np.array([1.5, -2.25], np.float16)}
    expected |= {"inner.conv.weight": halves[:2].reshape(2, 1, 1, 1), "inner.conv.bias": halves[:2]}
    expected |= {"layers.0.weight": halves[None, :2], "layers.0.bias": halves[:1]}
    assert_same(load_tensors(GOLDEN / "script.pt"), expected)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_saved_by_the_installed_pytorch(zipped, tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0)
    dtypes = (torch.float64, torch.float16, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    tensors = {str(dtype): (base[:5] - 1).clamp(0).to(dtype) for dtype in dtypes}
    tensors |= {"view": base[2:20].reshape(3, 6)[:, ::2].T, "empty": base[:0].reshape(0, 3), "scalar": base[3]}
    path = tmp_path / "model.bin"
    state = OrderedDict(tensors | {"bfloat16": base.bfloat16(), "parameter": torch.nn.Parameter(base)})
    state._metadata = {"": {"version": 1}}  # as in every state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    expected = {name: tensor.numpy() for name, tensor in tensors.items()}
    assert_same(load_tensors(path), expected | {"bfloat16": base.numpy(), "parameter": base.numpy()})


def safetensors(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    parts = [np.array([[1.5], [-2]], "<f4").tobytes(), np.array([0.5], "<f2").tobytes(), b"\xc0\x3f\x10\xc0", b"\x01"]
    entries = (("a", "F32", [2, 1]), ("h", "F16", [1]), ("b", "BF16", [2]), ("t", "BOOL", []))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for (name, dtype, shape), part in zip(entries, parts, strict=True):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(part)]}
        offset += len(part)
    path.write_bytes(safetensors(header, b"".join(parts)))
    expected = {"a": np.array([[1.5], [-2]], np.float32), "h": np.array([0.5], np.float16)}
    assert_same(load_tensors(path), expected | {"b": np.array([1.5, -2.25], np.float32), "t": np.array(True)})
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match="damaged"):
        load_tensors(path)


def test_safetensors_written_by_the_official_package(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({name: array.copy(order="C") for name, array in EXPECTED.items()}, tmp_path / "model")
    assert_same(load_tensors(tmp_path / "model"), EXPECTED)


class Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def as_zip(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("wrap", [as_zip, bytes], ids=["zip", "legacy"])
@pytest.mark.parametrize("function", [os.system, eval, OrderedDict.fromkeys], ids=lambda function: function.__name__)
def test_a_pickle_that_would_execute_something_is_refused(function, wrap, protocol, tmp_path):
    path, marker = tmp_path / "evil.pth", tmp_path / "marker"
    argument = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w')"
    path.write_bytes(wrap(pickle.dumps({"weight": Evil(function, argument)}, protocol=protocol)))
    name = r"(posix.system|(__)?builtin(s|__).(eval|getattr)|collections.OrderedDict.fromkeys)"
    with pytest.raises(InputError, match=rf"evil.pth: refused: the file refers to {name}"):
        load_tensors(path)
    assert not marker.exists()


def forged(size, stride, offset=0) -> bytes:
    """A PyTorch zip file with one tensor of this size, stride and offset over four floats, from pickle opcodes."""

    def numbers(values):
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ"
    arguments = b"(" + storage + b"J" + struct.pack("<i", offset) + numbers(size) + numbers(stride) + b"\x89}t"
    data = b"\x80\x02}U\x06weightctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", np.arange(4, dtype="<f4").tobytes())
    return file.getvalue()


def test_a_tensor_must_lie_within_its_storage(tmp_path):
    path = tmp_path / "forged.pth"
    path.write_bytes(forged((2, 2), (2, 1)))
    assert_same(load_tensors(path), {"weight": np.array([[0, 1], [2, 3]], np.float32)})
    for size, stride, offset in (((5,), (1,), 0), ((2, 2), (3, 1), 0), ((2,), (1,), 3), ((2,), (-1,), 1), ((2,), (1,), -1)):
        path.write_bytes(forged(size, stride, offset))
        with pytest.raises(InputError, match=r"forged.pth: a tensor .* does not fit the 4 elements"):
            load_tensors(path)
    path.write_bytes(forged((1 << 30, 1 << 30), (0, 0)))  # would fill all memory
    with pytest.raises(InputError, match=r"does not fit the 4"):
        load_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"not weights at all", "damaged"),
        (pickle.dumps({"a": 1}), "not a PyTorch file"),
        (as_zip(pickle.dumps({"epoch": 3})), "contains a int under 'epoch', not a tensor"),
        (as_zip(pickle.dumps([])), "contains a list, not a dictionary of tensors"),
        ((GOLDEN / "zip.pth").read_bytes()[:-100], "damaged"),
        ((GOLDEN / "legacy.pth").read_bytes()[:-8], "a storage of .* elements does not fit in the file"),
        (safetensors({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, b"1"), "F8_E4M3"),
        (safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"), "damaged"),
        (safetensors({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}, b"1234"), "offset"),
        (safetensors({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, b"1234"), "damaged"),
    ],
)
def test_errors_for_other_files(content, message, tmp_path):
    path = tmp_path / "some.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"some.pth.*({message})"):
        load_tensors(path)
    with pytest.raises(InputError, match=r"cannot read .*missing.pth"):
        load_tensors(tmp_path / "missing.pth")


# Small files that takes much memory. Pickles are written as opcodes, which `python -m pickletools` explains.


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(shape: tuple, content: bytes, dtype: str = "<f4") -> bytes:
    """An .npy whose header claims `shape`, whatever its content."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def float_storage(key: str, offset: int, count: int) -> bytes:
    """Opcodes of a tensor [count] on the storage `key`."""
    number = b"J" + struct.pack("<i", offset), b"J" + struct.pack("<i", count)
    storage = b"(U\x07storagectorch\nFloatStorage\nU" + bytes([len(key)]) + key.encode() + b"U\x03cpuK\x04tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number[0] + b"(" + number[1] + b"t(K\x01t\x89}tR"


def long_storage(count: int) -> bytes:
    """A file older than 1.6 whose storage claims `count` elements."""
    head = [pickle.dumps(item, 2) for item in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tensors = b"\x80\x02}U\x01w" + float_storage("0", 0, 1) + b"s."
    return b"".join([*head, tensors, pickle.dumps(["0"], 2), struct.pack("<q", count)])


TEXT_AS_SIZE = b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n(NK\x00(J\x00\x00\x00\x40U\x02abt(K\x01K\x01ttRs."
MANY = b"\x80\x02}(" + b"".join(b"U\x03%03d" % i + float_storage("0", 0, 25_000) for i in range(999)) + b"u."
ENTRIES = b"](" + b"".join(b"(U\x04%04dNl" % i for i in range(1000)) + b"eq\x00"
COPIES = b"\x80\x02ccollections\nOrderedDict\nq\x01" + ENTRIES + b"0(" + b"h\x01h\x00\x85R" * 5000 + b"l."
STATES = b"\x80\x02}(" + b"".join(b"U\x04%04dN" % i for i in range(1000)) + b"uq\x000ccollections\nOrderedDict\nq\x01("
STATES += b"h\x01)Rh\x00b" * 5000 + b"l."
BOMBS = {
    "memo": (b"\x80\x02Nr\xff\xff\xff\x0f.", "an object number 268,435,455"),
    "text memo": (b"Np99999999\n.", "an object number 99,999,999"),
    "string": (b"\x80\x02T\xff\xff\xff\x3fab.", "damaged"),
    "bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"ab.", "damaged"),
    "bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 31) + b"ab.", "damaged"),
    "frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.", "damaged"),
    "memo in a zip": (zipped({"a/data.pkl": b"\x80\x02Nr\xff\xff\xff\x0f."}), "an object number 268,435,455"),
    "long storage": (long_storage(1 << 40), "a storage of 1,099,511,627,776 elements does not fit in the file"),
    "negative storage": (long_storage(-1), "a storage of -1 elements does not fit in the file"),
    "shared storage": (zipped({"a/data.pkl": MANY, "a/data/0": bytes(100_000)}), "share 100,000 bytes, more than 10 times"),
    "copied dictionaries": (zipped({"a/data.pkl": COPIES}), "makes copies of its dictionaries"),
    "copied states": (zipped({"a/data.pkl": STATES}), "contains a list, not a dictionary"),
    "text as a size": (zipped({"a/data.pkl": TEXT_AS_SIZE}), "whose size is not one of at most 32 whole numbers"),
    "deflated storage": (
        zipped({"a/data.pkl": b"", "a/data/0": bytes(20_000_000)}, zipfile.ZIP_DEFLATED), "expand to 20,0",
    ),
    "npz header": (zipped({"a.npy": npy((10**12,), b"1234")}), r"array a is damaged: float32 \[1000000000000\] takes"),
    "negative npz header": (zipped({"a.npy": npy((-1, -4), bytes(16))}), "array a is damaged"),
    "npz of objects": (zipped({"a.npy": npy((1,), b"12345678", "|O")}), "array a holds Python objects, which could run code"),
    "safetensors": (struct.pack("<Q", 1 << 40) + b"{" + b" " * 100, "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_sizes_are_checked_before_memory_is_allocated(name, tmp_path):
    path, (content, message) = tmp_path / "small.pth", BOMBS[name]
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=rf"small.pth.*{message}"):
            load_tensors(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(content) + 2_000_000, f"{peak:,} bytes for a file of {len(content):,}"


def test_an_npz_may_expand_a_hundred_times_or_to_a_gigabyte(tmp_path, monkeypatch):
    path = tmp_path / "sparse.npz"
    np.savez_compressed(path, mask=np.zeros(3_000_000, np.uint8))  # about 1:1000
    assert load_tensors(path)["mask"].shape == (3_000_000,)
    monkeypatch.setattr(npz, "ALWAYS", 2_000_000)
    with pytest.raises(InputError, match=r"sparse.npz: [\d,]+ bytes that expand to 3,000,128, .* without compression"):
        load_tensors(path)
    np.savez(path, mask=np.zeros(3_000_000, np.uint8))
    assert load_tensors(path)["mask"].shape == (3_000_000,)


def test_headers_of_an_npz_are_read_without_its_arrays(tmp_path):
    path, arrays = tmp_path / "a.npz", {"x": np.ones((2, 3), np.float16), "y": np.array("ab"), "z": np.zeros((0, 7))}
    np.savez_compressed(path, **arrays)
    with open(path, "rb") as file:
        assert npz.read_headers(file) == {name: (array.shape, array.dtype) for name, array in arrays.items()}
        assert_same(npz.read_npz(file, ("y", "z")), {"y": arrays["y"], "z": arrays["z"]})


def test_a_dictionary_that_python_2_wrote_is_read(tmp_path):
    """As OrderedDict([[name, tensor], ...])."""
    path = tmp_path / "old.pth"
    entry = b"](U\x06weight" + float_storage("0", 1, 3) + b"e"
    path.write_bytes(
        zipped(
            {
                "a/data.pkl": b"\x80\x02ccollections\nOrderedDict\n]" + entry + b"a\x85R.",
                "a/data/0": np.arange(4, dtype="<f4").tobytes(),
            }
        )
    )
    assert_same(load_tensors(path), {"weight": np.array([1, 2, 3], np.float32)})


def test_conversion_is_cached_by_the_hash_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    converted = convert(GOLDEN / "zip.pth")
    digest = hashlib.sha256((GOLDEN / "zip.pth").read_bytes()).hexdigest()
    assert converted == cache_path(f"weights-{digest}.npz")
    assert_same(load_tensors(converted), EXPECTED)
    assert convert(converted) == converted
    monkeypatch.setattr(weights, "load_tensors", None)  # must not be called again
    assert convert(GOLDEN / "zip.pth") == converted
    monkeypatch.undo()
    monkeypatch.setenv("GAN_JAX_CACHE", "/dev/null/no")
    with pytest.raises(InputError, match=r"cannot write /dev/null/no/.*GAN_JAX_CACHE"):
        convert(GOLDEN / "zip.pth")


# Downloading


class Server(ThreadingHTTPServer):
    """Serve `content` or the requested range of it and record the ranges; send at most `cut` bytes, or ignore ranges."""

    content, cut, ranges, requested = CONTENT, None, True, ()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        requested = self.headers.get("Range")
        self.server.requested += (requested,)
        if self.path != "/some.pth":
            return self.send_error(404)
        start = int(requested.removeprefix("bytes=").removesuffix("-")) if requested and self.server.ranges else 0
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.server.content) - 1}/{len(self.server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def published(server) -> Weights:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Weights("some", f"http://127.0.0.1:{server.server_port}/some.pth", len(CONTENT), digest, "some weights")


def test_a_download_is_verified_and_not_repeated(published, server, tmp_path):
    path = download(published, tmp_path / "new")
    assert path == tmp_path / "new" / "some.pth"
    assert path.read_bytes() == CONTENT
    assert download(published, tmp_path / "new") == path
    assert server.requested == (None,)
    assert os.listdir(tmp_path / "new") == ["some.pth"]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_is_resumed(ranges, published, server, tmp_path):
    server.cut, server.ranges = 1_200_000, ranges
    with pytest.raises(RunError, match=r"stopped after 1200000 of 3000000 bytes .* run the same command again"):
        download(published, tmp_path)
    assert os.listdir(tmp_path) == ["some.pth.part"]
    server.cut = None
    assert download(published, tmp_path).read_bytes() == CONTENT
    assert server.requested == (None, "bytes=1200000-")


def test_a_complete_part_file_needs_no_server(published, server, tmp_path):
    (tmp_path / "some.pth.part").write_bytes(CONTENT)
    assert download(published, tmp_path).read_bytes() == CONTENT
    assert server.requested == ()


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"?", CONTENT + b"more" * 500_000], ids=["other", "longer"])
def test_a_wrong_download_is_deleted(content, published, server, tmp_path):
    server.content = content
    with pytest.raises(InputError, match=rf"{published.url}: .*, expected 3000000 bytes, sha256 {published.sha256}"):
        download(published, tmp_path)
    assert os.listdir(tmp_path) == []
    (tmp_path / "some.pth").write_bytes(CONTENT[:-1] + b"?")  # the user's file is not deleted
    with pytest.raises(InputError, match=r"sha256 .*: delete it"):
        download(published, tmp_path)
    assert os.listdir(tmp_path) == ["some.pth"]


def test_without_network_the_error_states_where_to_put_the_file(published, tmp_path):
    with socket.socket() as unused:  # bound, so no other process has it; not listening, so connections are refused
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/some.pth"
        with pytest.raises(InputError, match=rf"cannot download {url} .* put it at {tmp_path}/to/some.pth"):
            download(published._replace(url=url), tmp_path / "to")
    with pytest.raises(InputError, match=r"cannot download .* \(Not Found\): get it elsewhere"):
        download(published._replace(url=published.url + "s"), tmp_path / "to")
    assert os.listdir(tmp_path) == []


def test_a_silent_server_times_out(published, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, but never responds
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/some.pth"
        with pytest.raises(InputError, match=r"timed out"):
            download(published._replace(url=url), tmp_path)


def test_a_directory_that_is_not_writable_is_an_error(published):
    with pytest.raises(InputError, match=r"cannot write /dev/null/no/some.pth"):
        download(published, Path("/dev/null/no"))


# The command


def test_the_command_downloads_converts_and_prints_the_paths(published, server, tmp_path, monkeypatch, capsys):
    server.content = (GOLDEN / "legacy.pth").read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    inception = published._replace(name="inception", size=len(server.content), sha256=digest)
    monkeypatch.setitem(weights.PUBLISHED, "inception", inception)
    monkeypatch.setattr("sys.argv", ["weights.py", "inception"])
    main = runpy.run_path(str(COMMAND))["main"]
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [str(tmp_path / "some.pth"), str(tmp_path / f"weights-{digest}.npz")]
    assert_same(load_tensors(tmp_path / f"weights-{digest}.npz"), EXPECTED)
    monkeypatch.setattr("sys.argv", ["weights.py", "inception", "--to", str(tmp_path / "to")])
    main()
    assert (tmp_path / "to" / "some.pth").exists()
    assert f"sha256 {digest}, verified, copied from {tmp_path / 'some.pth'}\n" in capsys.readouterr().out
    monkeypatch.setitem(weights.PUBLISHED, "swav", inception._replace(name="swav", size=None, sha256=None))
    monkeypatch.setattr("sys.argv", ["weights.py", "swav", "--to", str(tmp_path / "other")])
    main()
    assert f"sha256 {digest}, not verified: its authors publish no checksum" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["weights.py", "dino"])
    with pytest.raises(
        InputError, match=r"unknown weights 'dino': did you mean 'dinov2'. known: clip, dinov2, inception, lpips"
    ):
        main()


def test_published_file_names():
    """Names of torchvision's files, and Inception's, end in the first eight digits of the hash; CLIP's address has them all."""
    assert weights.INCEPTION.file == f"pt_inception-2015-12-05-{weights.INCEPTION.sha256[:8]}.pth"
    assert weights.RESNET50.file == f"resnet50-{weights.RESNET50.sha256[:8]}.pth"
    assert weights.VGG16_TORCHVISION.file == f"vgg16-{weights.VGG16_TORCHVISION.sha256[:8]}.pth"
    assert weights.CLIP.url.split("/")[-2:] == [weights.CLIP.sha256, "ViT-B-32.pt"]
    assert weights.DINOV2.file == "dinov2_vitl14_pretrain.pth" and weights.LPIPS.file == "vgg.pth"
    for name, published in weights.PUBLISHED.items():
        assert name == published.name and published.url.startswith("https://")
        assert published.sha256 is None or len(published.sha256) == 64


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_of_unpublished_size_is_complete_or_resumed(ranges, published, server, tmp_path):
    unverified = published._replace(size=None, sha256=None)
    server.cut, server.ranges = 1_200_000, ranges
    with pytest.raises(RunError, match=r"stopped after 1200000 of 3000000 bytes"):
        download(unverified, tmp_path)
    server.cut = None
    assert download(unverified, tmp_path).read_bytes() == CONTENT
    assert download(unverified, tmp_path).read_bytes() == CONTENT and len(server.requested) == 2
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(InputError, match=rf"is not the file .*: sha256 \w+, expected sha256 {published.sha256}: the download"):
        download(published._replace(size=None), tmp_path / "hashed")
