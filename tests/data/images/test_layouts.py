"""How folders and zips of images are understood: splits, classes, files of labels, links; what cannot be known is asked."""

import json
import re
import zipfile

import numpy as np
import pytest
from made import write

from gan_jax.data.load import load
from gan_jax.errors import InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def images(path, names):
    """Write an image for each name; return them by content, as {pixels: name}."""
    return {write(path / name).tobytes(): name for name in names}


def named(split, written):
    """The file names of a split, with their labels."""
    names = [written[image[..., 0].tobytes()] for image in split.samples]
    return dict(zip(names, [None] * len(names) if split.labels is None else split.labels.tolist(), strict=True))


def both(name):
    """Load data in memory and streamed, which must agree."""
    data, streamed = (load(str(name), 0, 1, stream=stream) for stream in ("never", "always"))
    assert data.notes == streamed.notes and data.classes == streamed.classes and data.num_classes == streamed.num_classes
    for split in ("train", "test"):
        for expected, actual in zip(getattr(data, split), getattr(streamed, split), strict=True):
            np.testing.assert_array_equal(actual, expected)
    return data


def assert_asks(name, *texts):
    with pytest.raises(InputError) as caught:
        load(str(name), 0, 1)
    assert "\n" not in str(caught.value)
    for text in texts:
        assert text in str(caught.value)


@pytest.mark.parametrize(
    "splits, held_out, note",
    [
        (("train", "test"), "test", ""),
        (("train", "val"), "val", ""),
        (("Training", "validation", "testing"), "testing", "images of the split validation, not used: 4"),
        (("train", "valid", "test"), "test", "images of the split valid, not used: 4"),
    ],
)
@pytest.mark.parametrize("above", ["", "pictures/"])
def test_splits_with_class_folders(tmp_path, splits, held_out, note, above):
    written = images(tmp_path, [f"{above}{s}/{c}/{i}.png" for s in splits for c in ("ant", "bee") for i in range(2)])
    data = both(tmp_path)
    assert data.classes == ("ant", "bee")
    for split, name in ((data.train, splits[0]), (data.test, held_out)):
        assert named(split, written) == {f"{above}{name}/{c}/{i}.png": k for k, c in enumerate(("ant", "bee")) for i in (0, 1)}
    assert f"the split {held_out} is held out" in data.notes and (not note or note in data.notes)
    assert data.notes[0] == "8 images in 2 classes: ant (4), bee (4)"


def test_one_split_alone_with_its_classes(tmp_path):
    images(tmp_path, [f"train/{c}/{i}.png" for c in ("ant", "bee") for i in range(20)])
    data = both(tmp_path)
    assert data.classes == ("ant", "bee") and np.bincount(data.test.labels).tolist() == [2, 2]
    assert "all images are in the folder train" in data.notes


def test_a_test_split_without_classes_is_not_held_out(tmp_path):
    images(tmp_path, [f"train/{c}/{i}.png" for c in ("ant", "bee") for i in range(4)] + ["test/test/0.png", "test/test/1.png"])
    data = both(tmp_path)
    assert (data.num_train, data.test.count, data.num_classes) == (6, 2, 2)
    assert "images of the split test, not used: 2: it has no class folders, which train has" in data.notes


def test_classes_that_are_in_one_split_only(tmp_path):
    images(tmp_path, ["train/ant/0.png", "train/bee/0.png", "train/bee/1.png", "test/ant/0.png"])
    assert "classes without held-out images: bee" in both(tmp_path).notes
    images(tmp_path, ["test/cat/0.png"])
    assert_asks(tmp_path, "no training image has these classes of held-out images: cat")


def test_folders_beside_a_split(tmp_path):
    """A class may be called train, which has no test beside it."""
    images(tmp_path, [f"{name}/{i}.png" for name in ("train", "bus") for i in range(2)])
    assert_asks(tmp_path, "sub-folders bus, train: a split needs one folder train and one of test or val", 'labels="folders"')
    assert both(f'folder(path="{tmp_path}", labels="folders")').classes == ("bus", "train")
    assert both(f'folder(path="{tmp_path}", labels="none")').num_classes == 0
    images(tmp_path, ["test/0.png", "0.png"])
    data = both(tmp_path)
    assert (data.num_train, data.test.count, data.num_classes) == (2, 1, 0)
    assert "images in none of the splits, not used: 3 (in bus)" in data.notes


def test_a_table_of_labels_states_splits(tmp_path):
    written = images(tmp_path, [f"{i}.png" for i in range(12)])
    splits = ["train"] * 6 + ["dev"] * 2 + ["Test"] * 4
    rows = [f"{i}.png,{'ab'[i % 2]},{split}" for i, split in enumerate(splits)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    data = both(tmp_path)
    assert named(data.train, written) == {f"{i}.png": i % 2 for i in range(6)}
    assert named(data.test, written) == {f"{i}.png": i % 2 for i in range(8, 12)}
    assert {"splits are read from column split", "images of the split validation, not used: 2"} < set(data.notes)
    for i in range(6, 12):
        (tmp_path / f"{i}.png").unlink()
    assert "only images of the split train are present" in both(tmp_path).notes
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,fold", *(row.replace("dev", "7") for row in rows)]))
    assert any(note.startswith("column fold is not used") for note in both(tmp_path).notes)


def test_splits_of_two_domains_are_no_classes(tmp_path):
    images(tmp_path, [f"{name}/{i}.png" for name in ("trainA", "trainB", "testA", "testB") for i in range(2)])
    assert_asks(tmp_path, "sub-folders testA, testB, trainA, trainB may be classes or splits", 'labels="folders"')
    assert both(f'folder(path="{tmp_path}", labels="folders")').num_classes == 4
    assert both(f'folder(path="{tmp_path / "trainA"}")').num_train == 2 - 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_of_one_name_in_a_zip_are_all_read(tmp_path):
    written = images(tmp_path, [f"{i}.png" for i in range(4)])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in written.values():
            archive.write(tmp_path / name, "same.png")
    data = both(tmp_path / "a.zip")
    assert {*named(data.train, written), *named(data.test, written)} == set(written.values())


def test_images_beside_class_folders(tmp_path):
    images(tmp_path, ["0.png", "ant/1.png", "bee/2.png"])
    assert_asks(
        tmp_path, "both outside (1) and inside (2) class folders (ant)", 'labels="none" reads all images without classes'
    )
    assert both(f'folder(path="{tmp_path}", labels="none")').num_train == 2


SHARDED = [f"{i // 3:05d}/img{i:08d}.png" for i in range(7)]


def test_shards_of_dataset_tool(tmp_path):
    """https://github.com/NVlabs/stylegan3, dataset_tool.py: {"labels": [[FILE, LABEL], ...]}, or null."""
    written = images(tmp_path / "data", SHARDED)
    path = tmp_path / "data"
    assert_asks(path, "sub-folders 00000, 00001, 00002 may be classes or parts of one set", 'labels="folders"', 'labels="none"')
    assert both(f'folder(path="{path}", labels="none")').num_classes == 0
    assert both(f'folder(path="{path}", labels="folders")').classes == ("00000", "00001", "00002")
    for labels, expected in (
        ([[name, i % 2] for i, name in enumerate(SHARDED)], [i % 2 for i in range(7)]),
        ([[name, [i / 4, 1.5]] for i, name in enumerate(SHARDED)], [[i / 4, 1.5] for i in range(7)]),
        (None, None),
    ):
        (path / "dataset.json").write_text(json.dumps({"labels": labels}))
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            for file in path.rglob("*.*"):
                archive.write(file, file.relative_to(path))
        for data in (both(path), both(tmp_path / "data.zip")):
            found = named(data.train, written) | named(data.test, written)
            assert found == dict(zip(SHARDED, [None] * 7 if expected is None else expected, strict=True))
            assert data.num_classes == (0 if expected is None else 2)


def test_a_zip_of_class_folders(tmp_path):
    written = images(tmp_path / "data", [f"{c}/{i}.png" for c in ("ant", "bee") for i in range(3)])
    with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "data").rglob("*.png"):
            archive.write(file, f"photos/{file.relative_to(tmp_path / 'data')}")
        archive.writestr("__MACOSX/photos/ant/._0.png", b"no image")
        archive.writestr("photos/some.csv", "ant/0.png,x\nbee/0.png,y\n")
    data = both(tmp_path / "data.zip")
    assert named(data.train, written) | named(data.test, written) == {n: "ab".index(n[0]) for n in written.values()}
    some = both(f'folder(path="{tmp_path}/data.zip", labels="photos/some.csv")')  # other files than those of the cached survey
    assert some.num_train + some.test.count == 2 and some.classes == ("x", "y")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    assert_asks(tmp_path / "bad.zip", "bad.zip: not a readable zip")


@pytest.mark.parametrize(
    "table, classes, expected",
    [
        ("\ufefffile,label\n0.png,bee\n1.png,ant\n2.png,bee\n3.png,ant\n", ("ant", "bee"), [1, 0, 1, 0]),
        ("breed;id\r\nbee;0\r\nant;1\r\nbee;2\r\nant;3\r\n", ("ant", "bee"), [1, 0, 1, 0]),  # names without suffix
        ("0.png\t10\n1.png\t9\n2.png\t10\n3.png\t9\n", ("9", "10"), [1, 0, 1, 0]),  # no header; numbers in their order
        ("x,label,file\n1,1.0,data/0.png\n2,0.0,data/1.png\n3,1,data/2.png\n4,0,data/3.png\n", ("0", "1"), [1, 0, 1, 0]),
        ("label,id\n1,0\n0,1\n1,2\n0,3\n", ("0", "1"), [1, 0, 1, 0]),  # labels that look like files
        ('file,label\n0.png,"b,\nc"\n1.png,007\n2.png,"b,\nc"\n3.png,007\n', ("007", "b,\nc"), [1, 0, 1, 0]),
    ],
)
def test_a_table_of_labels(tmp_path, table, classes, expected):
    names = [f"{i}.png" for i in range(4)]
    written = images(tmp_path / "data", names)
    (tmp_path / "data" / "labels.csv").write_text(table)
    data = both(tmp_path / "data")
    assert data.classes == classes
    assert named(data.train, written) | named(data.test, written) == dict(zip(names, expected, strict=True))
    assert "labels are read from labels.csv" in data.notes


def test_a_table_of_labels_elsewhere_and_its_columns(tmp_path):
    written = images(tmp_path / "test", [f"{i}.png" for i in range(5)])
    table = "split,path,kind,colour\n" + "".join(f"test,test/{i}.png,{'ab'[i % 2]},{'rgb'[i % 3]}\n" for i in range(4))
    (tmp_path / "all.csv").write_text(table + "train,train/4.png,a,r\ntest,test/4.png,,b\n")
    name = f'folder(path="{tmp_path}/test", labels="{tmp_path}/all.csv"'
    assert_asks(
        f"{name})", 'set columns=("FILE", "LABEL"), two of split, path, kind, colour: several columns may be the classes'
    )
    data = both(f'{name}, columns=("path", "kind"))')
    assert named(data.train, written) | named(data.test, written) == {f"{i}.png": i % 2 for i in range(4)}
    assert "rows of all.csv that name no image here: 1 (train/4.png)" in data.notes
    assert "rows of all.csv without a label: 1" in data.notes
    assert "4 of 5 images are used; dropped: 1 without a label in all.csv" in data.notes
    assert_asks(f'{name}, columns=("path", "size"))', "two of split, path, kind, colour; got ('path', 'size')")


@pytest.mark.parametrize(
    "name, content, text",
    [
        ("labels.csv", "file,label\n0.png,a\n1.png\n", "labels.csv, line 3: 1 cells, the first row has 2"),
        ("labels.csv", "file,label\n0.png,a\n0.png,b\n", "line 3: 0.png has two labels, a and b"),
        ("labels.csv", "file,label\n0,1\n1,0\n", "several columns may be the files"),
        ("labels.csv", "file,label\n8.png,a\n9.png,b\n", "no column names the images of this folder"),
        ("labels.csv", "file,label\n0.png,0.5\n1.png,0.25\n", "labels must be classes, found real numbers: 0.5, 0.25"),
        ("labels.csv", b"file,label\n0.png,\xe9\n", "labels.csv, line 2: byte 0xe9 is not UTF-8"),
        ("dataset.json", '{"name": "mine"}', 'must contain {"labels": [[FILE, LABEL], ...]} or {"labels": null}'),
        ("dataset.json", '{"labels": [["0.png", "a"]]}', "labels must be integers or lists of numbers, found 'a' for '0.png'"),
        ("dataset.json", '{"labels": [["0.png", 1], ["1.png", [2]]]}', "must all be integers, or all be vectors"),
        ("dataset.json", '{"labels": [["9.png", 1]]}', "has a label for none of the images; it begins with 9.png"),
    ],
)
def test_invalid_files_of_labels(tmp_path, name, content, text):
    images(tmp_path, ["0.png", "1.png"])
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_asks(tmp_path, text)


def test_several_files_of_labels(tmp_path):
    images(tmp_path, [f"{i}.png" for i in range(4)])
    (tmp_path / "labels.csv").write_text("".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(4)))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": [[f"{i}.png", i // 2] for i in range(4)]}))
    assert_asks(tmp_path, "several files of labels: set labels to one of dataset.json, labels.csv")
    assert both(f'folder(path="{tmp_path}", labels="labels.csv")').classes == ("a", "b")


def test_symbolic_links(tmp_path):
    written = images(tmp_path / "elsewhere", ["0.png", "1.png"]) | images(tmp_path / "data", ["bee/0.png", "bee/1.png"])
    (tmp_path / "data" / "ant").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "bee" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "bee" / "gone.png").symlink_to(tmp_path / "nothing.png")
    data = both(tmp_path / "data")
    assert named(data.train, written) | named(data.test, written) == {"0.png": 0, "1.png": 0, "bee/0.png": 1, "bee/1.png": 1}
    assert any(
        re.search("a symbolic link to a folder that contains it is not followed: .*bee/loop", note) for note in data.notes
    )
    assert any("a symbolic link leads to no file: " in note for note in data.notes)


def test_class_folders_are_held_out_in_proportion(tmp_path):
    images(tmp_path, [f"ant/{i}.png" for i in range(30)] + [f"bee/{i}.png" for i in range(2)] + ["cat/0.png"])
    data = both(tmp_path)
    assert np.bincount(data.test.labels).tolist() == [3, 1] and "classes without held-out images: cat" in data.notes


def test_options_are_checked(tmp_path):
    images(tmp_path, ["0.png", "1.png"])
    for option, text in (
        ("labels=3", "data folder: labels cannot be 3"),
        ('labels="nothing.csv"', "no file or folder 'nothing.csv'"),
        ('columns=("a", "b")', "columns are those of a file of labels, which is missing"),
        ("max_level=0", "max_level must be a whole number from 1 to 65535, got 0"),
    ):
        assert_asks(f'folder(path="{tmp_path}", {option})', text)
