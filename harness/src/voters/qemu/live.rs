//! A running machine: its process, its mailbox, the windows that it has, and what it remembers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use contract::hcall::LIST_BYTES;
use contract::{Hypercall, Status, WindowSpec};

use super::board::{Board, Place, Uncovered, place};
use super::child::{Child, Config, Unavailable};
use super::guest;
use super::layout::RTAS;
use super::mailbox::{Answer, Batch, Mailbox, Waited};

/// Doublewords of a list page.
const LIST_WORDS: usize = (LIST_BYTES / 8) as usize;

/// RTAS calls on windows: their tokens, as QEMU numbers them.
const CREATE: u32 = 0x2027;
const REMOVE: u32 = 0x2028;
const RESET: u32 = 0x2029;
/// What they answer.
const SUCCESS: i32 = 0;
const NO_SUCH_WINDOW: i32 = -3;

/// How a running machine was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    /// The process ended; how.
    Dead(String),
    /// No answer came within the limit.
    Silent,
    /// It did not do what its interface says.
    Protocol(String),
}

/// Something that was asked for, and its answer.
pub(super) struct Answered<T> {
    pub(super) asked: T,
    pub(super) answer: Answer,
}

/// Why requests were not answered.
pub(super) struct Stopped<T> {
    pub(super) lost: Lost,
    /// The request at which it happened, if one was on its way.
    pub(super) at: Option<T>,
}

/// A QEMU that runs the monitor. `T` says what a request was for.
pub(super) struct Live<T> {
    child: Child,
    config: Config,
    mailbox: Mailbox,
    batch: Batch,
    /// What the requests of the posted batches and of the one that is being filled are for; none for what nobody waits for.
    asked: VecDeque<Option<T>>,
    pub(super) board: Board,
    /// The windows that it has, those of VIO devices left out.
    windows: BTreeMap<u64, WindowSpec>,
    /// Entries that may not be 0, by window.
    pub(super) touched: BTreeMap<u64, Range<u64>>,
    /// Lists that were stored, by address; all other memory is 0.
    lists: HashMap<u64, Box<[u64; LIST_WORDS]>>,
}

impl<T: Copy> Live<T> {
    /// Starts a machine and waits until its guest is up.
    pub(super) fn boot(config: &Config, board: Board) -> Result<Self, Unavailable> {
        let child = Child::start(config, &board)?;
        let windows = board.bridges().flat_map(|index| board.default_window(index)).collect();
        let mut live = Self {
            child,
            config: config.clone(),
            mailbox: Mailbox::default(),
            batch: Batch::default(),
            asked: VecDeque::new(),
            board,
            windows,
            touched: BTreeMap::new(),
            lists: HashMap::new(),
        };
        match live.post().and_then(|()| live.collect(&mut |_| true)) {
            // The firmware has done its work; where it lay is the program's memory, all zero.
            Ok(_) => match live.child.memory.write_all_at(&vec![0; guest::firmware().len()], 0) {
                Ok(()) => Ok(live),
                Err(error) => Err(Unavailable::Host { what: "QEMU's memory", error }),
            },
            Err(stopped) => {
                let why = match stopped.lost {
                    Lost::Dead(how) => how,
                    Lost::Silent => format!("its guest gave no sign within {:?}", config.limit),
                    Lost::Protocol(why) => why,
                };
                Err(Unavailable::NoBoot { program: config.program.clone(), why })
            }
        }
    }

    /// Asks for a hypercall. `answered` sees answers that are there by now, and says whether to go on.
    pub(super) fn call(
        &mut self,
        call: &Hypercall,
        asked: Option<T>,
        answered: &mut dyn FnMut(Answered<T>) -> bool,
    ) -> Result<bool, Stopped<T>> {
        self.batch.call(call);
        self.pushed(asked, answered)
    }

    fn pushed(&mut self, asked: Option<T>, answered: &mut dyn FnMut(Answered<T>) -> bool) -> Result<bool, Stopped<T>> {
        self.asked.push_back(asked);
        if !self.batch.is_full(self.config.batch) {
            return Ok(true);
        }
        let go_on = if self.mailbox.is_full() { self.collect(answered)? } else { true };
        self.post()?;
        Ok(go_on)
    }

    /// Sees to it that the list of `words` lies at `at` when the next call is made.
    pub(super) fn list(
        &mut self,
        at: u64,
        words: &[u64],
        answered: &mut dyn FnMut(Answered<T>) -> bool,
    ) -> Result<bool, Stopped<T>> {
        let there = self.lists.get_mut(&at);
        let same = match &there {
            Some(there) => there.starts_with(words),
            None => words.iter().all(|word| *word == 0),
        };
        if same || words.len() > LIST_WORDS {
            return Ok(true);
        }
        let page = self.lists.entry(at).or_insert_with(|| Box::new([0; LIST_WORDS]));
        page[..words.len()].copy_from_slice(words);
        self.batch.copy(self.mailbox.next_buffer(), at, words);
        self.pushed(None, answered)
    }

    fn io<U>(result: io::Result<U>) -> Result<U, Stopped<T>> {
        result.map_err(|error| Stopped { lost: Lost::Protocol(format!("its memory: {error}")), at: None })
    }

    fn post(&mut self) -> Result<(), Stopped<T>> {
        Self::io(self.mailbox.post(&self.child.memory, &self.batch))?;
        self.batch.clear();
        Ok(())
    }

    /// Waits for the oldest batch and hands out its answers. Stops handing out where `answered` says so.
    fn collect(&mut self, answered: &mut dyn FnMut(Answered<T>) -> bool) -> Result<bool, Stopped<T>> {
        let Self { child, mailbox, asked, config, .. } = self;
        let Child { process, memory, .. } = child;
        let lost = match Self::io(mailbox.wait(memory, config.limit, || process.ended()))? {
            Waited::Done => {
                let mut go_on = true;
                for answer in Self::io(mailbox.take(memory))? {
                    if let Some(asked) = asked.pop_front().flatten()
                        && go_on
                    {
                        go_on = answered(Answered { asked, answer });
                    }
                }
                return Ok(go_on);
            }
            Waited::Silent => Lost::Silent,
            Waited::Dead(how) => Lost::Dead(how),
        };
        let (requests, left) = mailbox.unanswered(memory);
        // What nobody waits for was asked on behalf of what comes next.
        let at = asked.iter().skip(requests - left).flatten().next();
        Err(Stopped { lost, at: at.copied() })
    }

    /// Sends what is left and waits for all answers. After `answered` said to stop, the rest is waited for and dropped.
    pub(super) fn drain(&mut self, answered: &mut dyn FnMut(Answered<T>) -> bool) -> Result<bool, Stopped<T>> {
        let mut go_on = true;
        if !self.batch.is_empty() {
            if self.mailbox.is_full() {
                go_on = self.collect(answered)?;
            }
            self.post()?;
        }
        while !self.mailbox.is_idle() {
            go_on &= self.collect(&mut |answer| go_on && answered(answer))?;
        }
        Ok(go_on)
    }

    /// Says nothing is known of the tables any more.
    pub(super) fn forget(&mut self) {
        for (liobn, window) in &self.windows {
            self.touched.insert(*liobn, 0..window.entries);
        }
        for liobn in self.board.vio() {
            self.touched.insert(liobn, 0..super::board::VIO_ENTRIES);
        }
    }

    /// Whether QEMU has a window of that LIOBN.
    pub(super) fn has(&self, liobn: u64) -> bool {
        self.windows.contains_key(&liobn) || u32::try_from(liobn).is_ok_and(|reg| self.board.has_vio(reg))
    }

    /// The windows that a bridge is to have, of those wanted.
    fn wanted<'a>(index: u32, wanted: impl Iterator<Item = &'a WindowSpec>) -> [Option<WindowSpec>; 2] {
        let mut windows = [None; 2];
        for spec in wanted {
            if let Some(Place::Bridge { index: bridge, number }) = place(spec.liobn.0)
                && bridge == index
            {
                windows[number] = Some(*spec);
            }
        }
        windows
    }

    fn bridge_has(&self, index: u32, want: &[Option<WindowSpec>; 2]) -> bool {
        [0, 1].into_iter().all(|number| {
            let have = self.windows.get(&liobn(index, number));
            have.map(shape) == want[number].as_ref().map(shape)
        })
    }

    /// Whether the windows are those of `wanted`; VIO ones, which cannot go, may be more.
    pub(super) fn has_exactly<'a>(&self, wanted: impl Iterator<Item = &'a WindowSpec> + Clone) -> bool {
        self.board.bridges().all(|index| self.bridge_has(index, &Self::wanted(index, wanted.clone())))
    }

    /// Makes the windows exactly those of `wanted`. Nothing is on its way.
    pub(super) fn arrange<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a WindowSpec> + Clone,
    ) -> Result<(), Stopped<T>> {
        for index in self.board.bridges().collect::<Vec<_>>() {
            let want = Self::wanted(index, wanted.clone());
            if !self.bridge_has(index, &want) {
                self.rebuild(index, want)?;
            }
        }
        Ok(())
    }

    /// Gives a bridge its windows anew: they come in the order of their numbers.
    fn rebuild(&mut self, index: u32, want: [Option<WindowSpec>; 2]) -> Result<(), Stopped<T>> {
        self.reset(index)?;
        let default = self.board.default_window(index).map(|(_, spec)| shape(&spec));
        let [first, second] = want;
        if let Some(first) = first
            && default != Some(shape(&first))
        {
            self.remove(liobn(index, 0))?;
            self.create(index, &first)?;
        }
        if let Some(second) = second {
            self.create(index, &second)?;
        }
        if first.is_none() {
            self.remove(liobn(index, 0))?;
        }
        Ok(())
    }

    /// Takes a window away in the middle of a program. Nothing is on its way.
    pub(super) fn close(&mut self, spec: &WindowSpec) -> Result<Result<(), Uncovered>, Stopped<T>> {
        match place(spec.liobn.0) {
            Some(Place::Bridge { index, number }) => {
                let first = liobn(index, 0);
                let restored = number == 1 && !self.windows.contains_key(&first);
                self.remove(spec.liobn.0)?;
                // QEMU brings the default window back with the last other one gone (seen in 7.2); the program has none.
                if restored {
                    self.rtas(REMOVE, &[first as u32], 1, &[SUCCESS, NO_SUCH_WINDOW])?;
                }
                Ok(Ok(()))
            }
            _ => Ok(Err("the window of a VIO device cannot be closed".into())),
        }
    }

    /// Adds a window in the middle of a program, if RTAS can. Nothing is on its way.
    pub(super) fn open(&mut self, spec: &WindowSpec) -> Result<Result<(), Uncovered>, Stopped<T>> {
        let mut board = self.board.clone();
        if let Err(why) = board.add(spec) {
            return Ok(Err(why));
        }
        let Some(Place::Bridge { index, number }) = place(spec.liobn.0).filter(|_| board == self.board) else {
            return Ok(Err(format!("QEMU cannot get window {} while it runs", spec.liobn)));
        };
        let other = self.windows.contains_key(&liobn(index, 1 - number));
        let default = self.board.default_window(index).is_some_and(|(_, default)| shape(&default) == shape(spec));
        match (number, other) {
            // With both of a bridge's windows gone it is not said which comes next, but after a reset it is the first.
            (0, false) if default || spec.entries.is_power_of_two() => self.rebuild(index, [Some(*spec), None]).map(Ok),
            (1, true) => self.create(index, spec).map(Ok),
            (0, _) => Ok(Err("a first window can be made only while there is no second".into())),
            _ => Ok(Err("a second window can be made only while there is a first".into())),
        }
    }

    /// Zeroes what may not be zero.
    pub(super) fn clear(&mut self, answered: &mut dyn FnMut(Answered<T>) -> bool) -> Result<(), Stopped<T>> {
        let touched = std::mem::take(&mut self.touched);
        for (liobn, entries) in touched {
            let vio = || self.board.vio().find(|vio| *vio == liobn).map(super::board::vio_window);
            let Some(spec) = self.windows.get(&liobn).copied().or_else(vio) else { continue };
            let Some(ioba) = ioba(&spec, entries.start) else { continue };
            // A range that ends past 2^64 cannot be named; it is shorter by the entries that nobody can name.
            let call = Hypercall::stuff(liobn, ioba, 0, entries.end - entries.start);
            self.call(&call, None, answered)?;
        }
        Ok(())
    }

    fn remove(&mut self, liobn: u64) -> Result<(), Stopped<T>> {
        self.rtas(REMOVE, &[liobn as u32], 1, &[SUCCESS])?;
        self.windows.remove(&liobn);
        self.touched.remove(&liobn);
        Ok(())
    }

    fn reset(&mut self, index: u32) -> Result<(), Stopped<T>> {
        let [high, low] = unit(index);
        self.rtas(RESET, &[0, high, low], 1, &[SUCCESS])?;
        for number in [0, 1] {
            self.windows.remove(&liobn(index, number));
            self.touched.remove(&liobn(index, number));
        }
        self.windows.extend(self.board.default_window(index));
        Ok(())
    }

    fn create(&mut self, index: u32, spec: &WindowSpec) -> Result<(), Stopped<T>> {
        let [high, low] = unit(index);
        let window_shift = spec.page_shift + spec.entries.trailing_zeros();
        let results = self.rtas(CREATE, &[0, high, low, spec.page_shift, window_shift], 4, &[SUCCESS])?;
        let made = (u64::from(results[1]), u64::from(results[2]) << 32 | u64::from(results[3]));
        if made != (spec.liobn.0, spec.base) {
            let why = format!(
                "RTAS made window {:#x} at {:#x} where {} at {:#x} was wanted",
                made.0, made.1, spec.liobn, spec.base
            );
            return Err(Stopped { lost: Lost::Protocol(why), at: None });
        }
        self.windows.insert(spec.liobn.0, *spec);
        self.touched.remove(&spec.liobn.0);
        Ok(())
    }

    /// An RTAS call: a hypercall whose argument is the address of a block of 32-bit words. Its status must be one of those wanted.
    fn rtas(&mut self, token: u32, arguments: &[u32], results: usize, wanted: &[i32]) -> Result<Vec<u32>, Stopped<T>> {
        self.drain(&mut |_| true)?;
        let head = [token, arguments.len() as u32, results as u32];
        let block: Vec<u8> = head.iter().chain(arguments).flat_map(|word| word.to_be_bytes()).collect();
        Self::io(self.child.memory.write_all_at(&block, RTAS))?;
        let mut returned = None;
        self.batch.call(&Hypercall { opcode: 0xf000, args: [RTAS, 0, 0, 0] });
        self.asked.push_back(None);
        self.post()?;
        // Its answer is taken here, where it is known to be the only one.
        let Child { process, memory, .. } = &mut self.child;
        match Self::io(self.mailbox.wait(memory, self.config.limit, || process.ended()))? {
            Waited::Done => {
                self.asked.pop_front();
                for answer in Self::io(self.mailbox.take(memory))? {
                    returned = Some(answer.r3);
                }
            }
            Waited::Silent => return Err(Stopped { lost: Lost::Silent, at: None }),
            Waited::Dead(how) => return Err(Stopped { lost: Lost::Dead(how), at: None }),
        }
        let mut bytes = vec![0; 4 * results];
        Self::io(memory.read_exact_at(&mut bytes, RTAS + block.len() as u64))?;
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|word| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))).collect();
        if returned != Some(Status::SUCCESS.0 as u64) || !wanted.contains(&(words[0] as i32)) {
            let why = format!("RTAS call {token:#x} {arguments:x?} answered {returned:x?}, status {}", words[0] as i32);
            return Err(Stopped { lost: Lost::Protocol(why), at: None });
        }
        Ok(words)
    }
}

/// What QEMU knows of a window.
const fn shape(spec: &WindowSpec) -> (u64, u32, u64, u64) {
    (spec.liobn.0, spec.page_shift, spec.base, spec.entries)
}

/// The LIOBN of a bridge's window.
const fn liobn(index: u32, number: usize) -> u64 {
    0x8000_0000 | (index as u64) << 8 | number as u64
}

/// The bridge's unit identifier, as two words.
const fn unit(index: u32) -> [u32; 2] {
    [0x0800_0000, 0x2000_0000 + index]
}

/// The address by which entry `index` is reached, if one is: QEMU rounds addresses down to pages, so with an unaligned base it is not the
/// entry's own.
pub(super) fn ioba(spec: &WindowSpec, index: u64) -> Option<u64> {
    let first = spec.base.checked_next_multiple_of(spec.page())?;
    first.checked_add(index.checked_mul(spec.page())?)
}

/// The entries that a call may store to, told from its registers alone: more rather than less.
pub(super) fn reach(spec: &WindowSpec, call: &Hypercall) -> Option<Range<u64>> {
    let [_, ioba, _, _] = call.args;
    let first = (ioba & !(spec.page() - 1)).checked_sub(spec.base)? >> spec.page_shift;
    (first < spec.entries).then(|| first..spec.entries.min(first.saturating_add(call.count())))
}
