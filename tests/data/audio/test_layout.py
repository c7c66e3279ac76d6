"""Classes and splits of recordings: what lists, tables and folders state precedes what file names suggest."""

import zipfile

import numpy as np
import pytest
from made_sounds import speech_commands, tone, wav, write

from gan_jax.data.audio.clips import audio
from gan_jax.data.load import load
from gan_jax.errors import InputError

LENGTH = 1_024


def read(path, **options):
    return audio(path=str(path), form="wave", length=LENGTH, **options)


def pitches(split):
    """Return the frequency in Hz of each clip of a pure tone, from the zero crossings of up to 900 samples at 8,000 Hz."""
    waves = np.float64(split.samples[:, :900, 0])
    return np.array([(np.diff(np.sign(wave[wave != 0])) != 0).sum() for wave in waves]) * 4_000 / waves.shape[1]


def is_noted(source, text):
    return any(text in note for note in source.notes)


def test_speech_commands_as_published(tmp_path):
    source = read(write(tmp_path, speech_commands()))
    assert source.classes == ("no", "yes") and source.num_classes == 2
    # 12 speakers, 2 takes of 2 words: 2 speakers are for testing, 1 for validation.
    assert (source.train.count, source.test.count) == (36, 8)
    for split in (source.train, source.test):
        assert np.bincount(split.labels).tolist() == [split.count // 2] * 2
        np.testing.assert_array_equal(pitches(split) > 550, split.labels)  # the tones of "yes" are above 800 Hz
    assert is_noted(source, "2 classes, from folders: no (24), yes (24)")
    assert is_noted(source, "36 recordings to train on, 8 held out, 4 for --validation")
    assert is_noted(source, "files passed over: 1 .md, 1 in _background_noise_, 1 without a suffix")


def test_the_validation_list_is_the_validation_split(tmp_path):
    write(tmp_path, speech_commands())
    data = load(f'audio(path="{tmp_path}", form="wave", length={LENGTH})', 0, 4, validation=0.5)
    assert (data.train.count, data.test.count, data.validation.count) == (36, 8, 4)
    found = sorted(pitches(data.validation))  # speaker 2: 320 and 321 Hz, 820 and 821 Hz
    np.testing.assert_allclose(found, [320, 320, 820, 820], atol=5)


def test_a_zip_with_one_folder_inside_is_read_like_a_folder(tmp_path):
    files = speech_commands()
    write(tmp_path / "tree", files)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"speech_commands_v2/{name}", content if isinstance(content, str) else wav(content))
            archive.writestr(f"__MACOSX/speech_commands_v2/._{name.replace('/', '_')}.wav", b"not a sound")
    one, other = read(tmp_path / "tree"), read(tmp_path / "all.zip")
    assert one.notes == other.notes and one.classes == other.classes
    for a, b in ((one.train, other.train), (one.test, other.test)):
        np.testing.assert_array_equal(a.samples, b.samples)
        np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize(
    "notation",
    [
        lambda name: name,
        lambda name: f"./{name}",
        lambda name: name.replace("/", "\\"),
        lambda name: name.removesuffix(".wav"),
        lambda name: f"words/{name}",
    ],
)
def test_lists_in_other_notations_mean_the_same(tmp_path, notation):
    files = speech_commands()
    for name in ("testing_list.txt", "validation_list.txt"):
        files[name] = "\ufeff" + "\r\n".join(map(notation, files[name].split()))
    source = read(write(tmp_path / "words", files).parent)
    assert (source.train.count, source.test.count) == (36, 8)
    assert is_noted(source, "4 for --validation")


def test_entries_of_lists_without_a_recording_are_counted_and_none_at_all_is_refused(tmp_path):
    files = speech_commands()
    kept = {name: content for name, content in files.items() if not name.startswith("yes/")}
    kept |= {f"up/{name[3:]}": content for name, content in kept.items() if name.startswith("no/")}
    source = read(write(tmp_path / "kept", kept))
    # Entries of "yes" must not be found in "up", which has files of the same names.
    assert source.test.count == 4 and source.test.labels.tolist() == [0] * 4
    assert is_noted(source, "4 of 8 entries of testing_list.txt name no recording here: yes/")
    files["testing_list.txt"] = "yes-a\nno-b\n"
    with pytest.raises(InputError, match=r"testing_list.txt in \S+ names none of the recordings there, such as 'yes-a'"):
        read(write(tmp_path / "other", files))
    files["testing_list.txt"] = files["validation_list.txt"]
    with pytest.raises(InputError, match=r"no/00000002_nohash_0.wav, .* are in two of the lists"):
        read(write(tmp_path / "both", files))


def test_speech_commands_without_its_lists_says_that_speakers_are_in_both_splits(tmp_path):
    files = {name: content for name, content in speech_commands(speakers=30).items() if not name.endswith("_list.txt")}
    source = read(write(tmp_path, files))
    assert source.classes == ("no", "yes") and np.bincount(source.test.labels).tolist() == [6, 6]
    assert is_noted(source, "speakers, by the file names SPEAKER_nohash_NUMBER, are both trained on and held out")


def test_flat_files_of_speech_commands_have_no_classes(tmp_path):
    source = read(write(tmp_path, {f"{i:08x}_nohash_{take}.wav": tone(300 + i) for i in range(15) for take in range(2)}))
    assert source.num_classes == 0 and is_noted(source, "no classes")


def test_folders_precede_file_names(tmp_path):
    files = {f"{place}/{word}_ann_{i}.wav": tone(300 + i) for place in ("in", "out") for word in "ab" for i in range(15)}
    source = read(write(tmp_path, files))
    assert source.classes == ("in", "out") and np.bincount(source.test.labels).tolist() == [5, 5]


def test_file_names_can_be_chosen_and_turned_off(tmp_path):
    write(tmp_path, {f"{word}_ann_{i}.wav": tone(300 + 900 * (word == "b") + i) for word in "ab" for i in range(15)})
    source = read(tmp_path)
    assert source.classes == ("a", "b") and np.bincount(source.test.labels).tolist() == [5, 5]
    assert is_noted(source, "from the file names WORD_SPEAKER_NUMBER")
    assert is_noted(source, "numbers below 5 in the file names, the official split of the Free Spoken Digit Dataset")
    # Takes 0 to 4 of "a" have 300 to 304 Hz.
    assert pitches(source.test)[source.test.labels == 0].max() < 310 < pitches(source.train).max()
    off = read(tmp_path, classes="none")
    assert off.num_classes == 0 and (off.train.count, off.test.count) == (20, 10)
    assert is_noted(off, "at random")
    (tmp_path / "noise.wav").write_bytes(wav(tone(9)))
    assert read(tmp_path).num_classes == 0
    with pytest.raises(InputError, match=r"noise\.wav are not called WORD_SPEAKER_NUMBER"):
        read(tmp_path, classes="file_names")


def test_names_with_a_single_word_are_no_classes(tmp_path):
    source = read(write(tmp_path, {f"common_voice_en_{i}.wav": tone(300 + i) for i in range(40)}))
    assert source.num_classes == 0 and source.test.count == 10


def test_classes_are_held_out_in_proportion_and_small_ones_are_named(tmp_path):
    sizes = {"big": 90, "small": 10, "single": 1}
    source = read(write(tmp_path, {f"{word}/{i}.wav": tone(300 + i) for word, n in sizes.items() for i in range(n)}))
    assert source.classes == ("big", "single", "small") and np.bincount(source.test.labels, minlength=3).tolist() == [9, 0, 1]
    assert is_noted(source, "classes without recordings held out: single")
    assert is_noted(source, "91 recordings to train on, 10 held out (a tenth of each class, at random)")


@pytest.mark.parametrize(
    ("folders", "held_out"),
    [(("train", "test"), "test"), (("TRAIN", "TEST", "dev"), "TEST"), (("train-clean-100", "dev-clean"), "dev-clean")],
)
def test_folders_of_splits(tmp_path, folders, held_out):
    files = {
        f"{split}/{word}/{i}.wav": tone(200 + 300 * row) for row, split in enumerate(folders) for word in "ab" for i in range(3)
    }
    source = read(write(tmp_path, files))
    assert source.classes == ("a", "b") and (source.train.count, source.test.count) == (6, 6)
    np.testing.assert_allclose(pitches(source.test), 200 + 300 * folders.index(held_out), atol=10)
    assert (source.set_aside is not None) == (len(folders) == 3)


def test_a_class_may_be_called_train(tmp_path):
    source = read(write(tmp_path, {f"{word}/{i}.wav": tone(300) for word in ("dog", "train", "test") for i in range(10)}))
    assert source.classes == ("dog", "test", "train")


def test_folders_that_can_be_read_in_two_ways_are_refused(tmp_path):
    files = {f"{speaker}/{word}/{i}.wav": tone(300) for speaker in ("ann", "bob") for word in "xyz" for i in range(5)}
    write(tmp_path, files)
    with pytest.raises(InputError, match=r'folders contain folders, as in ann/x/0\.wav: set classes="first_folder"'):
        read(tmp_path)
    assert read(tmp_path, classes="first_folder").classes == ("ann", "bob")
    assert read(tmp_path, classes="last_folder").classes == ("x", "y", "z")
    assert read(tmp_path, classes="none").classes == ()
    with pytest.raises(InputError, match="unknown classes of data audio 'folders'"):
        read(tmp_path, classes="folders")
    outside = write(tmp_path / "more", {"a.wav": tone(300), "b/c.wav": tone(300), "d/e.wav": tone(300)})
    with pytest.raises(InputError, match=r'both inside and outside of folders, as in a\.wav: set classes="none"'):
        read(outside)


def test_ljspeech(tmp_path):
    """A table without a header and classes, whose sentences hold quotes, and recordings called by their ids."""
    files = {f"wavs/LJ001-{i:04}.wav": tone(300 + i) for i in range(40)}
    rows = [f'LJ001-{i:04}|He said "no {i}|He said "no {i}\n' for i in range(40)]
    source = read(write(tmp_path / "LJSpeech-1.1", files | {"metadata.csv": "".join(rows)}).parent)
    assert source.num_classes == 0 and (source.train.count, source.test.count) == (30, 10)


def test_vctk(tmp_path):
    files = {f"wav48/{who}/{who}_{i:03}.wav": tone(300 + i) for who in ("p225", "p226") for i in range(20)}
    files |= {name.replace("wav48", "txt").replace(".wav", ".txt"): "words" for name in files} | {"speaker-info.txt": "ID AGE"}
    source = read(write(tmp_path, files))
    assert source.classes == ("p225", "p226") and is_noted(source, "files passed over: 41 .txt")


def test_esc50(tmp_path):
    """The classes are in a table, as numbers and names, and so are folds; clips of one source are in one fold."""
    rows = [
        (f"{fold}-{i}-A-{target}.wav", fold, target, ("dog", "rain")[target])
        for fold in (1, 2, 5)
        for i in range(4)
        for target in (0, 1)
    ]
    table = "filename,fold,target,category,take\n" + "".join(f"{a},{b},{c},{d},A\n" for a, b, c, d in rows)
    files = {f"audio/{name}": tone(300 + 100 * fold + 1_000 * target) for name, fold, target, _ in rows}
    source = read(write(tmp_path, files | {"meta/esc50.csv": table, "README.md": ""}))
    assert source.classes == ("dog", "rain") and (source.train.count, source.test.count) == (16, 8)
    np.testing.assert_array_equal(pitches(source.test) > 1_000, source.test.labels)
    assert is_noted(source, "meta/esc50.csv, column category: dog (12), rain (12)")
    assert is_noted(source, "meta/esc50.csv, column fold: 5 is held out")
    assert read(tmp_path, classes="meta/esc50.csv:take").classes == ("A",)
    with pytest.raises(InputError, match=r"esc50.csv has no column 'kind': filename, fold, target, category, take"):
        read(tmp_path, classes="meta/esc50.csv:kind")


def test_tables_precede_folders(tmp_path):
    """UrbanSound8K: the folders are folds, the classes in a table."""
    names = [f"{i}-3-0-0.wav" for i in range(24)]
    rows = "".join(f"{name},fold{i % 2 + 1},{i % 3},{'abc'[i % 3]}\n" for i, name in enumerate(names))
    files = {f"audio/fold{i % 2 + 1}/{name}": tone(300) for i, name in enumerate(names)}
    write(tmp_path, files | {"metadata/UrbanSound8K.csv": "slice_file_name,folder,classID,class\n" + rows})
    assert read(tmp_path).classes == ("a", "b", "c")


def test_recordings_without_a_class_in_the_table_are_counted(tmp_path):
    rows = [f"{i}.wav;{'yes' if i % 2 else 'no'}" for i in range(20)] + ["20.wav;", "99.wav;no"]
    files = {f"{i}.wav": tone(300) for i in range(25)}
    source = read(write(tmp_path, files | {"labels.csv": "\n".join(rows)}))
    assert source.classes == ("no", "yes") and source.train.count + source.test.count == 20
    assert is_noted(source, "20 of 25 recordings are used; dropped: 5 not mentioned")
    assert is_noted(source, "1 of 22 rows of labels.csv mention no recording here, or more than one, such as line 22")


@pytest.mark.parametrize("name", ["99.wav", "99"])
def test_a_first_row_whose_recording_is_missing_is_no_header(tmp_path, name):
    rows = [f"{name},no"] + [f"{i},{'yes' if i % 2 else 'no'}" for i in range(20)]
    source = read(write(tmp_path, {f"{i}.wav": tone(300) for i in range(20)} | {"labels.csv": "\n".join(rows)}))
    assert source.classes == ("no", "yes") and is_noted(source, "1 of 21 rows of labels.csv")


def test_tables_of_splits(tmp_path):
    """Common Voice: one table for each split, recordings in neither."""
    files = {f"clips/common_voice_{i}.wav": tone(200 + 40 * i) for i in range(20)}
    for split, rows in (("train", range(8)), ("test", range(8, 12)), ("dev", range(12, 14))):
        files[f"{split}.tsv"] = "client_id\tpath\tsentence\n" + "".join(f"x\tcommon_voice_{i}.wav\ts {i}\n" for i in rows)
    source = read(write(tmp_path, files))
    np.testing.assert_allclose(sorted(pitches(source.test)), [520, 560, 600, 640], atol=10)
    assert (source.train.count, source.test.count) == (8, 4)
    assert is_noted(source, "14 of 20 recordings are used; dropped: 6 not mentioned")


def test_tables_that_contradict_each_other_or_themselves_are_refused(tmp_path):
    files = {f"{i}.wav": tone(300) for i in range(20)}
    rows = "".join(f"{i}.wav,{i % 2},{i % 5}\n" for i in range(20))
    with pytest.raises(InputError, match=r'label and category differ, .*: choose one, as in classes="labels.csv:category"'):
        read(write(tmp_path / "a", files | {"labels.csv": "file,label,category\n" + rows}))
    with pytest.raises(InputError, match=r"labels.csv, line 22: 0\.wav is 1, in an earlier line 0"):
        read(write(tmp_path / "b", files | {"labels.csv": "file,label\n" + rows + "0.wav,1\n"}))
    with pytest.raises(
        InputError, match=r'several tables hold classes, one\.csv, two\.csv: choose one, as in classes="one\.csv"'
    ):
        read(write(tmp_path / "c", files | {f"{name}.csv": "file,label,x\n" + rows for name in ("one", "two")}))
    with pytest.raises(InputError, match=r"there is no three\.csv in \S+: one\.csv, two\.csv"):
        read(tmp_path / "c", classes="three.csv")


def test_a_column_of_distinct_values_holds_no_classes(tmp_path):
    files = {f"{i}.wav": tone(300) for i in range(20)} | {
        "labels.csv": "file,label\n" + "".join(f"{i}.wav,x{i}\n" for i in range(20))
    }
    source = read(write(tmp_path, files))
    assert source.num_classes == 0
    assert is_noted(source, "labels.csv, column label has 20 values for 20 recordings, so they are not read as classes")


def test_a_vocoder_needs_no_classes(tmp_path):
    files = {f"{speaker}/{chapter}/{i}.wav": tone(300 + i) for speaker in "ab" for chapter in "cd" for i in range(5)}
    source = audio(path=str(write(tmp_path, files)), form="vocoder", length=LENGTH)
    assert (source.train.count, source.test.count) == (10, 10) and source.train.labels.shape == (10, 8 * 64)


def test_all_clips_of_a_recording_are_in_one_split(tmp_path):
    files = {f"{i}.wav": tone(300 + 40 * i, length=3 * LENGTH) for i in range(20)}
    source = audio(path=str(write(tmp_path, files)), form="vocoder", length=LENGTH)
    train, test = (np.unique(np.rint((pitches(split) - 300) / 40)) for split in (source.train, source.test))
    assert source.test.count == 30 and len(test) == 10 and not set(train) & set(test)


def test_symbolic_links_are_followed_but_not_in_circles(tmp_path):
    write(tmp_path / "real", {f"{i}.wav": tone(300) for i in range(12)})
    write(tmp_path / "data", {f"no/{i}.wav": tone(300) for i in range(12)})
    (tmp_path / "data" / "yes").symlink_to(tmp_path / "real")
    (tmp_path / "data" / "also").symlink_to("no")  # it precedes the folder, which stays a class
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "data")
    source = read(tmp_path / "data")
    assert source.classes == ("also", "no", "yes") and source.train.count + source.test.count == 36


def test_classes_apply_to_files_only():
    with pytest.raises(InputError, match="classes='none' applies to folders and zips of sounds only"):
        audio(classes="none")
