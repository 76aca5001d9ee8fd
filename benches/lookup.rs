//! Translation from a pfn to its struct page: the candidate's index beside other implementations, in one run.
//!
//! ```text
//! cargo bench --bench lookup              # prints the tables
//! cargo bench --bench lookup -- --write   # also writes docs/performance.md and docs/lookup.svg
//! ```
//!
//! | row | what it is |
//! |---|---|
//! | flatmem | one array: arithmetic only, the lower limit of the time |
//! | index | the candidate's index: arithmetic, then three loads |
//! | sorted array | blocks by address, binary search |
//! | scanning list | the kernel's list (2013, as corrected), newest first, up to the block with the whole struct page |
//! | first-match list | the same list, up to the first block at or below the address: wrong if the list is not sorted |
//!
//! All rows run on the same machine: struct pages of 56 bytes, 64 KiB pages and blocks, so that one struct page in 1170
//! is split. Times are medians of rounds, and the pfns are drawn before. Only ratios within a run are meaningful;
//! ratios with a target are measured in rounds of their own (see `ratios`).

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candidate::pages::PageIndex;
use contract::description::{AddrRun, BlockRun};
use contract::{MemoryModel, PageShift, Pfn, RealAddr};
use plotters::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const STRUCT_PAGE: u64 = 56;
const BLOCK_SHIFT: u32 = 16;
const BLOCK: u64 = 1 << BLOCK_SHIFT;
const PAGES_PER_SECTION: u64 = 256;
const BASE: u64 = 0xf << 60;
const BLOCKS: [u64; 5] = [1, 16, 256, 4096, 65_536];
/// Number of pfns that are drawn for a measurement, before its first round.
const DRAWN: usize = 4096;
/// Number of rounds of which the median is taken.
const ROUNDS: usize = 15;
/// Number of rounds for each value of a ratio. A round times both parts of the ratio, one after the other.
const PAIRED_ROUNDS: usize = 201;

/// An implementation of the translation from a pfn to the real address of its struct page: `None` for a pfn without a
/// struct page, and for a struct page that is split.
trait Lookup {
    fn lookup(&self, pfn: u64) -> Option<u64>;
}

struct Index(PageIndex);

impl Lookup for Index {
    fn lookup(&self, pfn: u64) -> Option<u64> {
        self.0.lookup(Pfn(pfn)).map(|real| real.0)
    }
}

/// The sorted array: vmemmap blocks as (virtual address, real address), sorted by virtual address.
struct Sorted(Vec<(u64, u64)>);

impl Lookup for Sorted {
    fn lookup(&self, pfn: u64) -> Option<u64> {
        let at = BASE + pfn * STRUCT_PAGE;
        let after = self.0.partition_point(|(start, _)| *start <= at);
        let (start, real) = self.0[after.checked_sub(1)?];
        (at + STRUCT_PAGE <= start + BLOCK).then(|| real + (at - start))
    }
}

/// A node of the vmemmap list: virtual and real address of its block, and the next node (`None` for the last).
struct Node {
    virt: u64,
    real: u64,
    next: Option<Box<Node>>,
}

impl Drop for Node {
    /// Frees the nodes after this one in a loop. The default drop recurses, and would need a stack frame for each node.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut node) = next {
            next = node.next.take();
        }
    }
}

struct Scanning(Option<Box<Node>>);

impl Lookup for Scanning {
    fn lookup(&self, pfn: u64) -> Option<u64> {
        let at = BASE + pfn * STRUCT_PAGE;
        let mut node = self.0.as_deref();
        while let Some(Node { virt, real, next }) = node {
            if *virt <= at && at + STRUCT_PAGE <= *virt + BLOCK {
                return Some(real + (at - virt));
            }
            node = next.as_deref();
        }
        None
    }
}

struct FirstMatch(Option<Box<Node>>);

impl Lookup for FirstMatch {
    fn lookup(&self, pfn: u64) -> Option<u64> {
        let at = BASE + pfn * STRUCT_PAGE;
        let mut node = self.0.as_deref();
        while let Some(Node { virt, real, next }) = node {
            if *virt <= at {
                return (at + STRUCT_PAGE <= *virt + BLOCK).then(|| real + (at - virt));
            }
            node = next.as_deref();
        }
        None
    }
}

/// Returns the real address of vmemmap block number `number`. Blocks with neighbouring numbers are not adjacent in
/// memory.
const fn place(number: u64) -> u64 {
    (1 << 40) + 2 * number * BLOCK
}

/// Returns the number of sections, from section 0 on, whose struct pages lie wholly in the first `blocks` vmemmap
/// blocks.
const fn sections(blocks: u64) -> u64 {
    blocks * BLOCK / (PAGES_PER_SECTION * STRUCT_PAGE)
}

fn index(blocks: u64) -> Index {
    let mut index = PageIndex::default();
    let runs = (0..blocks).map(|first| BlockRun { first, places: AddrRun { at: RealAddr(place(first)), count: 1 } });
    let memory = MemoryModel::SparsememVmemmap {
        base: BASE,
        block_shift: BLOCK_SHIFT,
        list: RealAddr(0),
        sections: (0..sections(blocks)).collect(),
        blocks: runs.collect(),
    };
    index.start(PageShift::Shift16, STRUCT_PAGE, &memory);
    Index(index)
}

fn flatmem(blocks: u64) -> Index {
    let mut index = PageIndex::default();
    let pages = sections(blocks) * PAGES_PER_SECTION;
    index.start(PageShift::Shift16, STRUCT_PAGE, &MemoryModel::Flatmem { array: RealAddr(1 << 40), pages });
    Index(index)
}

/// Builds the vmemmap list as the kernel does at boot: adds `blocks` blocks in ascending order, each at the front.
fn list(blocks: u64) -> Option<Box<Node>> {
    (0..blocks)
        .fold(None, |next, number| Some(Box::new(Node { virt: BASE + number * BLOCK, real: place(number), next })))
}

/// Which pfns a measurement looks up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Random,
    Sequential,
    Split,
    Miss,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Random, Self::Sequential, Self::Split, Self::Miss];

    const fn name(self) -> &'static str {
        match self {
            Self::Random => "hits, random",
            Self::Sequential => "hits, sequential",
            Self::Split => "splits",
            Self::Miss => "misses",
        }
    }

    fn pfns(self, blocks: u64) -> Vec<u64> {
        let rng = &mut StdRng::seed_from_u64(blocks);
        let pages = sections(blocks) * PAGES_PER_SECTION;
        let splits = |pfn: u64| pfn * STRUCT_PAGE / BLOCK != ((pfn + 1) * STRUCT_PAGE - 1) / BLOCK;
        let mut next = 0;
        let mut draw = || loop {
            let pfn = match self {
                Self::Random => rng.random_range(0..pages),
                Self::Sequential => {
                    next = (next + 1) % pages;
                    next
                }
                // Takes the page whose struct page ends at or past a block boundary. A single block has only the
                // boundary at its end.
                Self::Split => rng.random_range(1..=blocks) * BLOCK / STRUCT_PAGE,
                Self::Miss => rng.random_range(pages + 1200..1 << 30),
            };
            let wanted = match self {
                Self::Random | Self::Sequential => !splits(pfn),
                Self::Split => splits(pfn) || blocks == 1,
                Self::Miss => true,
            };
            if wanted {
                return pfn;
            }
        };
        (0..DRAWN).map(|_| draw()).collect()
    }
}

/// Returns the median, over [`ROUNDS`] rounds, of the time of one lookup of the pfns, in nanoseconds.
fn measure(of: &dyn Lookup, pfns: &[u64]) -> f64 {
    // A round takes about a millisecond, but looks up each drawn pfn at least once, unless that takes too long.
    let started = Instant::now();
    let mut sample = pfns;
    for (done, pfn) in pfns.iter().enumerate() {
        black_box(of.lookup(black_box(*pfn)));
        if done >= 15 && started.elapsed().as_millis() > 20 {
            sample = &pfns[..done];
            break;
        }
    }
    let once = started.elapsed().as_nanos().max(1) as usize;
    let passes = if sample.len() == pfns.len() { (1_000_000 / once).max(1) } else { 1 };
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..passes {
                for pfn in sample {
                    black_box(of.lookup(black_box(*pfn)));
                }
            }
            started.elapsed().as_nanos() as f64 / (passes * sample.len()) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

/// Returns the time of one lookup in nanoseconds (median of 60) when no part of the implementation's data is in a
/// cache: 64 MiB of other memory are read between lookups. The time to read the clock is measured and subtracted.
fn cold(of: &dyn Lookup, pfns: &[u64]) -> f64 {
    let other = vec![1_u64; 8 << 20];
    let median = |look: &mut dyn FnMut(u64)| {
        let mut times: Vec<u128> = pfns
            .iter()
            .take(60)
            .map(|pfn| {
                black_box(other.iter().step_by(8).sum::<u64>());
                let started = Instant::now();
                look(*pfn);
                started.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2] as f64
    };
    let clock = median(&mut |pfn| _ = black_box(pfn));
    median(&mut |pfn| _ = black_box(of.lookup(black_box(pfn)))) - clock
}

/// A ratio with a target: the time of a lookup with the implementation `of` divided by that with `to`, each given as
/// name and number of vmemmap blocks.
struct Ratio {
    what: &'static str,
    aim: &'static str,
    of: (&'static str, u64),
    to: (&'static str, u64),
}

const RATIOS: [Ratio; 4] = [
    Ratio { what: "index at 65,536 blocks / at 1", aim: "<= 1.2", of: ("index", 65_536), to: ("index", 1) },
    Ratio { what: "index / flatmem at 1 block", aim: "<= 2", of: ("index", 1), to: ("flatmem", 1) },
    Ratio { what: "index / flatmem at 65,536 blocks", aim: "<= 2", of: ("index", 65_536), to: ("flatmem", 65_536) },
    Ratio {
        what: "scanning list / index at 4,096 blocks",
        aim: ">= 100",
        of: ("scanning list", 4096),
        to: ("index", 4096),
    },
];

/// Lower quartile, median and upper quartile of the values of a ratio.
type Spread = [f64; 3];

/// Returns the time of one lookup in nanoseconds, the average over `passes` passes through `pfns`.
fn once(of: &dyn Lookup, pfns: &[u64], passes: usize) -> f64 {
    let started = Instant::now();
    for _ in 0..passes {
        for pfn in pfns {
            black_box(of.lookup(black_box(*pfn)));
        }
    }
    started.elapsed().as_nanos() as f64 / (passes * pfns.len()) as f64
}

/// Returns the time of one lookup in nanoseconds like [`once`], but each pfn depends on the result of the lookup
/// before, so loads that wait for each other cost their full time. In `once` a CPU runs several lookups at the same
/// time.
fn chained(of: &dyn Lookup, pfns: &[u64], passes: usize) -> f64 {
    let started = Instant::now();
    let mut before = 0;
    for _ in 0..passes {
        for pfn in pfns {
            // Real addresses are below 2^63, so this adds 0; the compiler does not know that.
            before = of.lookup(*pfn ^ (before >> 63)).unwrap_or_default();
        }
    }
    black_box(before);
    started.elapsed().as_nanos() as f64 / (passes * pfns.len()) as f64
}

/// Returns the median time of a chained lookup of `different` randomly drawn pfns with the index, in nanoseconds, at 1
/// and at 65,536 vmemmap blocks. More pfns use more of the index's memory.
fn footprint(different: usize) -> [f64; 2] {
    [1, 65_536].map(|blocks| {
        let way = row("index", blocks);
        let pfns = &Kind::Random.pfns(blocks)[..different];
        let mut times: Vec<f64> = (0..ROUNDS).map(|_| chained(&*way, pfns, 40 * DRAWN / different)).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    })
}

/// Measures each ratio with a target. Returns three spreads for each: of random pfns, of sequential pfns, and of
/// chained lookups of random pfns. The same code takes up to 1.4 times as long in some columns of a run and in other
/// columns of the next run; the object's address is not the reason. Both parts of a ratio are therefore timed one after
/// the other in many rounds, and the result is a spread.
fn ratios() -> Vec<[Spread; 3]> {
    let spread = |ratio: &Ratio, kind: Kind, time: fn(&dyn Lookup, &[u64], usize) -> f64| {
        let parts = [ratio.of, ratio.to].map(|(name, blocks)| {
            let (way, mut pfns) = (row(name, blocks), kind.pfns(blocks));
            let passes = if name == "scanning list" { 1 } else { 40 };
            // A list takes microseconds a lookup, and some hundred pfns are enough for the average length of its walk.
            pfns.truncate(if name == "scanning list" { 512 } else { DRAWN });
            (way, pfns, passes)
        });
        let mut ratios: Vec<f64> = (0..PAIRED_ROUNDS)
            .map(|_| {
                let [of, to] = parts.each_ref().map(|(way, pfns, passes)| time(&**way, pfns, *passes));
                of / to
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        [PAIRED_ROUNDS / 4, PAIRED_ROUNDS / 2, PAIRED_ROUNDS * 3 / 4].map(|at| ratios[at])
    };
    let row = |ratio| {
        [spread(ratio, Kind::Random, once), spread(ratio, Kind::Sequential, once), spread(ratio, Kind::Random, chained)]
    };
    RATIOS.iter().map(row).collect()
}

const ROWS: [&str; 5] = ["flatmem", "index", "sorted array", "scanning list", "first-match list"];

fn row(name: &str, blocks: u64) -> Box<dyn Lookup> {
    match name {
        "flatmem" => Box::new(flatmem(blocks)),
        "index" => Box::new(index(blocks)),
        "sorted array" => Box::new(Sorted((0..blocks).map(|n| (BASE + n * BLOCK, place(n))).collect())),
        "scanning list" => Box::new(Scanning(list(blocks))),
        _ => Box::new(FirstMatch(list(blocks))),
    }
}

/// Checks with `blocks` vmemmap blocks, for 64 pfns of each kind, that all rows except flatmem give the same answer, an
/// address for the hits only; panics if not. The first-match list is right here too, because the list is sorted.
fn agree(blocks: u64) {
    let ways: Vec<Box<dyn Lookup>> = ROWS[1..].iter().map(|name| row(name, blocks)).collect();
    for kind in Kind::ALL {
        for &pfn in kind.pfns(blocks).iter().take(64) {
            let answers: Vec<Option<u64>> = ways.iter().map(|way| way.lookup(pfn)).collect();
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{blocks} blocks, pfn {pfn}: {answers:x?}");
            let hit = matches!(kind, Kind::Random | Kind::Sequential);
            assert_eq!(answers[0].is_some(), hit, "{blocks} blocks, pfn {pfn} of {}", kind.name());
        }
    }
}

/// Times of one lookup in nanoseconds, by kind of pfns, row of the table and number of vmemmap blocks.
type Times = Vec<[[f64; BLOCKS.len()]; ROWS.len()]>;

fn times() -> Times {
    let mut times = vec![[[0.0; BLOCKS.len()]; ROWS.len()]; Kind::ALL.len()];
    for (column, &blocks) in BLOCKS.iter().enumerate() {
        agree(blocks);
        for (line, name) in ROWS.iter().enumerate() {
            let way = row(name, blocks);
            for (kind, of) in Kind::ALL.iter().zip(&mut times) {
                of[line][column] = measure(&*way, &kind.pfns(blocks));
            }
        }
    }
    times
}

fn tables(times: &Times, ratios: &[[Spread; 3]], cold: [f64; 2]) -> String {
    let mut out = String::new();
    for (kind, rows) in Kind::ALL.iter().zip(times) {
        let head: Vec<String> = BLOCKS.iter().map(u64::to_string).collect();
        let _ = writeln!(out, "| {} | {} |", kind.name(), head.join(" | "));
        let _ = writeln!(out, "|---|{}", "---|".repeat(BLOCKS.len()));
        for (name, row) in ROWS.iter().zip(rows) {
            let cells: Vec<String> = row.iter().map(|time| format!("{time:.1}")).collect();
            let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
        }
        let _ = writeln!(out);
    }
    let _ = writeln!(out, "| ratio | random | sequential | random, each waits for the one before | aim |");
    let _ = writeln!(out, "|---|---|---|---|---|");
    for (ratio, row) in RATIOS.iter().zip(ratios) {
        let cells: Vec<String> =
            row.iter().map(|[low, median, high]| format!("{median:.2} ({low:.2}-{high:.2})")).collect();
        let _ = writeln!(out, "| {} | {} | {} |", ratio.what, cells.join(" | "), ratio.aim);
    }
    let _ = writeln!(out, "\n| pfns, each lookup waits for the one before: ns | 1 | 65536 |\n|---|---|---|");
    for different in [64, 512, 1024, DRAWN] {
        let [one, most] = footprint(different);
        let _ = writeln!(out, "| {different} different | {one:.1} | {most:.1} |");
    }
    let _ = writeln!(
        out,
        "\nWith cold caches (64 MiB of other memory are read before each lookup) the index takes {:.0} ns at 1 block \
         and {:.0} ns at 65,536.",
        cold[0], cold[1]
    );
    out
}

fn plot(times: &Times, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (860, 480)).into_drawing_area();
    // The plot has its own background, because the page around it may be dark.
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption("pfn to struct page, random hits", ("sans-serif", 18))
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((1f64..65_536f64).log_scale(), (1f64..1_000_000f64).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("vmemmap blocks")
        .y_desc("ns a lookup")
        .x_label_formatter(&|blocks| format!("{blocks:.0}"))
        .y_label_formatter(&|time| format!("{time:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    let colours = [
        RGBColor(110, 110, 110),
        RGBColor(0, 90, 200),
        RGBColor(0, 140, 80),
        RGBColor(200, 80, 0),
        RGBColor(160, 0, 120),
    ];
    for ((name, row), colour) in ROWS.iter().zip(&times[0]).zip(colours) {
        let points: Vec<(f64, f64)> = BLOCKS.iter().map(|blocks| *blocks as f64).zip(row.iter().copied()).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(4))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

const BEGIN: &str = "<!-- lookup: written by cargo bench --bench lookup -- --write -->\n";
const END: &str = "<!-- lookup: end -->\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --benches` runs this with --test: the answers of the implementations are compared, and nothing is
    // timed.
    if std::env::args().any(|argument| argument == "--test") {
        BLOCKS.into_iter().for_each(agree);
        return Ok(());
    }
    let times = times();
    let cold_at = |blocks| cold(&*row("index", blocks), &Kind::Random.pfns(blocks));
    let text = tables(&times, &ratios(), [cold_at(1), cold_at(65_536)]);
    println!("nanoseconds a lookup, by number of blocks\n\n{text}");
    if std::env::args().any(|argument| argument == "--write") {
        let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
        let page = docs.join("performance.md");
        let old = std::fs::read_to_string(&page)?;
        let (before, rest) = old.split_once(BEGIN).ok_or("docs/performance.md: no place for the tables")?;
        let (_, after) = rest.split_once(END).ok_or("docs/performance.md: the place for the tables has no end")?;
        std::fs::write(&page, format!("{before}{BEGIN}\n{text}\n{END}{after}"))?;
        plot(&times, &docs.join("lookup.svg"))?;
    }
    Ok(())
}
