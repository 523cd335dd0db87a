"""Where a long text is cut: at paragraphs, sentences or words, in pieces that a given number of tokens fits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from embedkit.errors import InputError
from embedkit.runtime.frontends.text.spans import Span

_PARAGRAPH = re.compile(r"\n[^\S\n]*(?=\n)")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*(?=\s)|(?<=[。！？])[\"'”’»）』」]*|(?=\n)")
_WORD = re.compile(r"(?=\s)")
_JOINER = "\u200d"
_FIRST_WIDTH = 4
_NARROWEST = 64
_NEAR = 32


@dataclass(frozen=True, slots=True)
class Splitter:
    """Cuts one text into consecutive pieces, of which each is at most ``limit`` by ``count``.

    ``count`` gives the tokens of a piece, all that the model reads with it included; ``ends`` where the tokens of a
    piece end, which is used to guess, so it need not be exact. ``room`` is how many of these there are in a full piece,
    ``overlap`` how many at most a piece repeats of the one before. Without ``natural`` pieces are filled, and end
    between words; with it they may be half as long to end with a paragraph, or else with a sentence.

    Pieces begin and end with a character that is no space, and every such character is in one. Time grows with the
    length of the text, memory does not.
    """

    text: str
    count: Callable[[str], int]
    ends: Callable[[str], list[int]]
    limit: int
    room: int
    overlap: int = 0
    natural: bool = True

    def spans(self, start: int, stop: int) -> Iterator[Span]:
        """The pieces of a part of the text. Raises `InputError` where a single character does not fit."""
        begin = done = self._skip(start, stop)
        width = _FIRST_WIDTH * self.room + _NARROWEST
        while done < stop:
            end = self._end(begin, done, stop, width)
            if end is None:  # what is repeated leaves no room for anything new
                begin = done
                continue
            yield begin, end
            width = (end - begin) * 3 // 2 + _NARROWEST
            done = self._skip(end, stop)
            begin = self._repeated(begin, end) or done

    def _end(self, begin: int, done: int, stop: int, width: int) -> int | None:
        """Where the piece that begins at ``begin`` ends, after ``done``; None where it would not come so far."""
        reach = self._reach(begin, stop, width)
        while reach > done:
            end = self._cut(begin, done, reach, stop)
            size = self.count(self.text[begin:end])
            if size <= self.limit:
                return end
            if end == begin + 1:
                raise InputError(
                    f"character {begin} ({self.text[begin]!r}) alone has {size} tokens with what the model adds, and "
                    f"{self.limit} fit; choose larger chunks"
                )
            reach = begin + max(1, min(end - begin - 1, (end - begin) * self.limit // size))
        return None if begin < done else begin + 1

    def _reach(self, begin: int, stop: int, width: int) -> int:
        """Where a full piece ends, or nearly so."""
        while True:
            end = min(stop, begin + width)
            ends = self.ends(self.text[begin:end])
            if len(ends) > self.room:
                return begin + max(1, ends[self.room - 1] or (end - begin) * self.room // len(ends))
            if end == stop:
                return stop
            width *= 2

    def _cut(self, begin: int, done: int, reach: int, stop: int) -> int:
        """The best place to end, after ``done`` and not behind ``reach``."""
        least = max(begin, done)
        if reach < stop:
            half = max(least, begin + (reach - begin) // 2)
            levels = [(_PARAGRAPH, half), (_SENTENCE, half)] if self.natural else []
            for pattern, lower in [*levels, (_WORD, least)]:
                place = self._last(pattern, lower, reach)
                if place:
                    reach = place
                    break
            else:
                reach = self._between_characters(least, reach)
        while self.text[reach - 1].isspace():
            reach -= 1
        return reach

    def _last(self, pattern: re.Pattern[str], lower: int, upper: int) -> int:
        """The last match that ends after ``lower`` and not behind ``upper``; 0 where there is none."""
        found = 0
        for match in pattern.finditer(self.text, lower + 1, min(len(self.text), upper + 1)):
            if match.end() <= upper:
                found = match.start() if match.group().isspace() else match.end()
        return found if found > lower else 0

    def _between_characters(self, lower: int, place: int) -> int:
        """A place that does not part a letter from its marks, nor a joined emoji, where one is near."""
        return next((near for near in range(place, max(lower, place - _NEAR), -1) if not self._inside(near)), place)

    def _repeated(self, begin: int, end: int) -> int:
        """Where a piece begins that repeats the end of the piece before; 0 where it repeats nothing."""
        ends = self.ends(self.text[begin:end]) if self.overlap else []
        if len(ends) <= self.overlap:
            return 0
        place = begin + ends[len(ends) - self.overlap - 1]
        for pattern in (_SENTENCE, _WORD) if self.natural else (_WORD,):
            match = pattern.search(self.text, max(place, begin + 1), end)
            if match and (found := self._skip(match.end(), end)) < end:
                return found
        if self.text[place:end].isascii():  # words are parted by spaces, and this is the end of one
            return 0
        place = next((near for near in range(place, end) if not self._inside(near)), end)
        return place if begin < place < end else 0

    def _inside(self, place: int) -> bool:
        """Whether a cut would part a letter from its marks, or a joined emoji."""
        after, before = self.text[place], self.text[place - 1]
        return unicodedata.category(after)[0] == "M" or _JOINER in (after, before)

    def _skip(self, place: int, stop: int) -> int:
        while place < stop and self.text[place].isspace():
            place += 1
        return place
