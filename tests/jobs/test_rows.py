"""Rows of files to annotate: plain text, JSON lines and columns, and messages about bad ones."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from lightner.data.formats import read
from lightner.jobs import rows
from lightner.jobs.rows import CONLL, JSONL, TEXT, InputRow, format_of, kind_of, read_rows
from lightner.types import InputError


def rows_of(content: str | bytes, kind: str) -> list[tuple[int, str | None, tuple[str, ...], str | None]]:
    raw = content.encode() if isinstance(content, str) else content
    return [(row.line, row.text, row.words, row.domain) for row in whole(raw, kind)]


def whole(content: bytes, kind: str) -> list[InputRow]:
    stream = io.BytesIO(content)
    return list(read_rows(stream, "f", format_of(stream, "f", kind)))


class TestRows:
    def test_every_line_of_plain_text_is_a_row(self) -> None:
        assert rows_of("\ufeffone\r\n\ntwo", TEXT) == [(1, "one", (), None), (2, "", (), None), (3, "two", (), None)]

    def test_a_row_of_json_lines_has_a_text_or_tokens_and_perhaps_a_domain(self) -> None:
        content = '{"text": "a b", "domain": "x"}\n\n{"tokens": ["a", "b"], "id": 7}\n'
        assert rows_of(content, JSONL) == [(1, "a b", (), "x"), (3, None, ("a", "b"), None)]
        (_, second) = whole(content.encode(), JSONL)
        assert second.others == {"id": 7}

    def test_with_text_and_tokens_the_text_is_read_and_the_tokens_are_kept(self) -> None:
        """Tokens are objects in Prodigy's records, and words in those of other tools."""
        for tokens in ([{"text": "Add", "start": 0, "end": 3, "id": 0}], ["Add", "eggs"], None):
            [row] = whole(json.dumps({"text": "Add eggs", "tokens": tokens}).encode(), JSONL)
            assert (row.text, row.words, row.others) == ("Add eggs", (), {"tokens": tokens})

    def test_a_sentence_of_columns_is_a_row_whatever_its_tags(self) -> None:
        content = "-DOCSTART- O\n\n# id = 1\nAda B-PER\nlives\tO\n\n\n# 1 =\nParis O\n"
        assert rows_of(content, CONLL) == [(4, None, ("Ada", "lives"), None), (9, None, ("Paris",), None)]

    @pytest.mark.parametrize(
        "content",
        [
            "a\tO\n\u00a0\tO\nb\tB-X\n",
            "#Oscars\tNOUN\tNumber=Plur\tB-X\nwon\tVERB\tTense=Past\tO\n",
            "# id = 1\n# text = vitamins B and O\n#x=1 O\nvitamins B-X\n\n#y=2 O\n",
            "# text = vitamins B and O\nvitamins\tB-X\n#x=1\tO\n",
            "# 1 =\n\nParis\tB-X\n",
            "# sent_id = 1\nParis NNP I-NP B-X\n",
            "# text = O\nParis\tNNP\tI-NP\tB-X\n",
            "# text = a O\n\na O\n",
            "1\tParis\tB-X\tO\n2\tburns\tO\tO\n",
            "token,tag\nParis,B-X\nburns,O\n",
            "Paris\tB-X\n\ufeffAda\tB-X\n",
            "Paris B-X\rburns O\r\rAda B-X\r",
            'Paris\tB-X\n""""\tO\n',
        ],
    )
    def test_columns_read_as_they_do_for_training(self, content: str, tmp_path: Path) -> None:
        (file := tmp_path / "train.conll").write_text(content, "utf-8")
        assert [words for _, _, words, _ in rows_of(content, CONLL)] == [sentence.words for sentence in read(file)]

    def test_words_without_tags_may_begin_with_a_hash(self) -> None:
        assert rows_of("# id = 1\n#x=1\nwon\n", CONLL) == [(2, None, ("#x=1", "won"), None)]

    @pytest.mark.parametrize("kind", [TEXT, JSONL, CONLL])
    def test_rows_are_the_same_read_from_any_of_them_on(self, kind: str) -> None:
        lines = {
            TEXT: "one\n\ntwo\nthree",
            JSONL: '{"text": "a"}\n\n{"text": "b"}\n',
            CONLL: "a O\nb O\n\n\nc O\n\nd O",
        }
        content = lines[kind].encode()
        form = format_of(io.BytesIO(content), "f", kind)
        rows = list(read_rows(io.BytesIO(content), "f", form))
        for index, row in enumerate(rows):
            rest = list(read_rows(io.BytesIO(content[row.end :]), "f", form, line=row.next_line))
            assert [(r.line, r.text, r.words) for r in rest] == [(r.line, r.text, r.words) for r in rows[index + 1 :]]

    @pytest.mark.parametrize(
        ("content", "kind", "said"),
        [
            (b"one\n\xff\n", TEXT, "f:2: found byte 0xff, expected UTF-8"),
            ("{}\n", JSONL, "f:1: found keys []"),
            ('{"text": 1}\n', JSONL, "f:1: text: found 1, expected a string"),
            ('{"tokens": ["a", " "]}\n', JSONL, "f:1: tokens: found ['a', ' ']"),
            ('{"text": "a", "domain": "../x"}\n', JSONL, "f:1: domain: found '../x'"),
            ('{"text": "a", "domain": 5}\n', JSONL, "f:1: domain: found 5, expected a string"),
            ('{"text": "\\ud800"}\n', JSONL, "f:1: found a lone surrogate"),
            ('{"text": "a"}\n{"text": "b", "id": [1e999]}\n', JSONL, "f:2: found number 1e999, expected finite ones"),
            ('{"text": "a", "at": {"x": -Infinity}}\n', JSONL, "f:1: found number -Infinity, expected finite ones"),
            ('{"text": "a", "x": NaN}\n', JSONL, "f:1: found number NaN, expected finite ones"),
            ("\n{'text'}\n", JSONL, "f:2: found"),
            ("[1]\n", JSONL, "f:1: found list"),
            ("a\tO\n\tB-X\n", CONLL, "f:2: found nothing in column 1 before 'B-X', expected a word"),
            ("a\tO\nNew\tYork\tB-X\nb\tO\n", CONLL, "f:2: found 3 columns ('New York B-X'), expected 2, as in line 1"),
            (b"PK\x03\x04rest", TEXT, "f: found a zip archive"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", JSONL, "f: found a pointer of Git LFS"),
        ],
    )
    def test_bad_rows_are_named_by_line(self, content: str | bytes, kind: str, said: str) -> None:
        with pytest.raises(InputError) as caught:
            rows_of(content, kind)
        assert str(caught.value).startswith(said)

    def test_a_line_that_is_too_long_is_named_and_not_read_to_its_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rows, "MAX_LINE_BYTES", 10)
        assert len(rows_of("123456789\n1234567890", TEXT)) == 2
        stream = io.BytesIO(b"one\n" + b"x" * 100)
        form = format_of(stream, "f", TEXT)
        with pytest.raises(InputError, match=r"^f:2: found a line of more than 10 bytes, expected shorter ones$"):
            list(read_rows(stream, "f", form))
        assert stream.tell() == len("one\n") + 11
        with pytest.raises(InputError, match=r"^f:2: found a line of more than 10 bytes, expected shorter ones$"):
            rows_of(b"one\r" + b"x" * 100, TEXT)

    @pytest.mark.parametrize("kind", [TEXT, JSONL])
    def test_lines_may_end_in_carriage_returns_alone(self, kind: str) -> None:
        one, two = ('{"text": "a"}', '{"text": "b"}') if kind == JSONL else ("a", "b")
        assert rows_of(f"{one}\r{two}\r", kind) == [(1, "a", (), None), (2, "b", (), None)]
        assert len(rows_of("a\rb\nc", TEXT)) == 2

    def test_the_suffix_decides_the_kind(self) -> None:
        assert [kind_of(Path(name)) for name in ("a.JSONL", "a.txt", "a.conll")] == [JSONL, TEXT, CONLL]
        with pytest.raises(InputError, match="--format"):
            kind_of(Path("a.csv"))
