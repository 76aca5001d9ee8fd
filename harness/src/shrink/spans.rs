//! Spans of numbers: which spans overlap, and to which lower number a span can move.

/// The numbers from `start` up to, but without, `start + length`. A span moves by multiples of `align`, a power of two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) align: u64,
}

impl Span {
    /// Makes a span that may move by any number: its `align` is 1.
    pub(super) const fn new(start: u64, length: u64) -> Self {
        Self { start, length, align: 1 }
    }

    fn end(self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// Returns what becomes of `number` when the span moves so that it starts at `to`. A number outside the span stays
    /// as it is.
    pub(super) const fn moved(self, number: u64, to: u64) -> u64 {
        let offset = number.wrapping_sub(self.start);
        if offset < self.length { to.wrapping_add(offset) } else { number }
    }
}

/// Returns the spans in ascending order, with overlapping spans merged into one, which has the largest `align` of them.
/// Spans that only touch stay apart.
pub(super) fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| (span.start, span.length));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end() => {
                last.length = last.end().max(span.end()) - last.start;
                last.align = last.align.max(span.align);
            }
            _ => merged.push(span),
        }
    }
    merged
}

/// Returns the lowest number below the start of `spans[index]` to which this start can move: a multiple of `align`
/// away, at or next after one of `bases` or the end of another span, clear of all other spans, and accepted by `fits`.
/// Returns `None` if there is no such number. `spans` must be merged.
pub(super) fn lowest(
    spans: &[Span],
    index: usize,
    bases: impl IntoIterator<Item = u64>,
    fits: impl Fn(u64) -> bool,
) -> Option<u64> {
    let span = spans[index];
    let others = || spans.iter().enumerate().filter(move |(other, _)| *other != index).map(|(_, span)| *span);
    let free = |at: u64| {
        let end = at.saturating_add(span.length);
        others().all(|other| end <= other.start || other.end() <= at)
    };
    // Keeps the distance from a multiple of `align`.
    let aligned = |at: u64| at.checked_add(span.start.wrapping_sub(at) & (span.align - 1));
    let starts = bases.into_iter().chain(others().map(Span::end)).filter_map(aligned);
    starts.filter(|&at| at < span.start && free(at) && fits(at)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_one_span() {
        let aligned = Span { align: 4, ..Span::new(6, 4) };
        let spans = merged(vec![Span::new(20, 1), Span::new(2, 5), aligned, Span::new(10, 2), Span::new(3, 1)]);
        assert_eq!(spans, [Span { start: 2, length: 8, align: 4 }, Span::new(10, 2), Span::new(20, 1)]);
    }

    #[test]
    fn a_span_moves_to_the_lowest_place_that_is_free() {
        let spans = [Span::new(0, 2), Span { align: 4, ..Span::new(13, 3) }, Span::new(20, 1)];
        let anywhere = |_: u64| true;
        assert_eq!(lowest(&spans, 0, [0], anywhere), None, "it is there");
        assert_eq!(lowest(&spans, 1, [0], anywhere), Some(5), "behind the first, as far from a multiple of 4");
        assert_eq!(lowest(&spans, 1, [0], |at| at > 5), None, "the next start is its own");
        assert_eq!(lowest(&spans, 2, [0], anywhere), Some(2));
        assert_eq!(lowest(&spans, 2, [9], |at| at > 2), Some(9));
        assert_eq!((spans[1].moved(14, 5), spans[1].moved(16, 5), spans[1].moved(12, 5)), (6, 16, 12));
    }
}
