//! The four hypercalls, and the order of their checks in each dialect (docs/semantics.md, section 4).
//!
//! A check that fails returns the whole outcome of the call as `Err`. A check that passes returns `Ok`, and the call
//! continues.

use contract::dialect::{Answers, CheckOrder, CountZero, CrossingRange, StuffLimit, StuffPermissions, UnalignedIoba};
use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, LIST_BYTES, MAX_TCES_PER_CALL};
use contract::{Gpa, Hva, Hypercall, Liobn, Pte, Rule, Status, Tce, WindowSpec};

use crate::dialects::answers;
use crate::state::Reference;
use crate::{Answer, Outcome, Owes};

/// The result of a check: `Err` holds the outcome of a call that ends at this check.
pub(crate) type Checked<T> = Result<T, Outcome>;

impl Reference {
    /// Runs a hypercall with the registers in `call`.
    pub(crate) fn hypercall(&mut self, call: &Hypercall) -> Outcome {
        let result = match call.opcode {
            H_GET_TCE => self.h_get_tce(call),
            H_PUT_TCE => self.h_put_tce(call),
            H_STUFF_TCE => self.h_stuff_tce(call),
            H_PUT_TCE_INDIRECT => self.h_put_tce_indirect(call),
            _ => Err(self.end(Status::FUNCTION, Rule::HcallUnknown)),
        };
        let (Ok(mut outcome) | Err(mut outcome)) = result;
        if let Owes::Defer(reason) = outcome.owes {
            outcome.rules.insert(reason);
        }
        outcome
    }

    fn h_get_tce(&self, call: &Hypercall) -> Checked<Outcome> {
        let [liobn, ioba, ..] = call.args;
        let spec = self.known_window(liobn)?;
        let index = self.entry_of(&spec, ioba)?;
        let value = self.window(spec.liobn).map_or(0, |window| window.guest(index));
        let answer = Answer::Hypercall { status: Status::SUCCESS, r4: Some(value) };
        Ok(Outcome { answer, ..self.end(Status::SUCCESS, Rule::TceRead) })
    }

    fn h_put_tce(&mut self, call: &Hypercall) -> Checked<Outcome> {
        let [liobn, ioba, tce, _] = call.args;
        let spec = self.known_window(liobn)?;
        let index = self.entry_of(&spec, ioba)?;
        self.check_and_write(&spec, index, &[Tce(tce)], false, None)
    }

    fn h_stuff_tce(&mut self, call: &Hypercall) -> Checked<Outcome> {
        let [liobn, ioba, tce, count] = call.args;
        let spec = self.known_window(liobn)?;
        let index = match self.answers().order {
            CheckOrder::IobaFirst => {
                let index = self.entry_of(&spec, ioba)?;
                self.stuff_limit(&spec, count)?;
                index
            }
            CheckOrder::CountFirst => {
                self.stuff_limit(&spec, count)?;
                self.entry_of(&spec, ioba)?
            }
            CheckOrder::EntryByEntry => {
                self.stuff_limit(&spec, count)?;
                if count == 0 {
                    return Err(self.count_zero());
                }
                self.entry_of(&spec, ioba)?
            }
        };
        let fits = self.entries_that_fit(&spec, index, count)?;
        self.stuff_permissions(Tce(tce))?;
        if count == 0 {
            return Err(self.count_zero());
        }
        let tces: Vec<Tce> = (0..fits).map(|_| Tce(tce)).collect();
        let outcome = self.check_and_write(&spec, index, &tces, false, None)?;
        self.unless_crossing(outcome, fits < count)
    }

    fn h_put_tce_indirect(&mut self, call: &Hypercall) -> Checked<Outcome> {
        let [liobn, ioba, list, count] = call.args;
        let spec = self.known_window(liobn)?;
        match self.answers().order {
            CheckOrder::IobaFirst => {
                let index = self.entry_of(&spec, ioba)?;
                self.indirect_limit(count)?;
                self.list_align(list)?;
                self.entries_that_fit(&spec, index, count)?;
                if count == 0 {
                    return Err(self.count_zero());
                }
                let hva = self.list_slot(list)?;
                self.indirect_from_list(&spec, index, hva, count)
            }
            CheckOrder::CountFirst => {
                self.indirect_limit(count)?;
                self.list_align(list)?;
                let index = self.entry_of(&spec, ioba)?;
                self.entries_that_fit(&spec, index, count)?;
                let hva = self.list_slot(list)?;
                if count == 0 {
                    return Err(self.count_zero());
                }
                self.indirect_from_list(&spec, index, hva, count)
            }
            CheckOrder::EntryByEntry => {
                self.indirect_limit(count)?;
                self.list_align(list)?;
                if count == 0 {
                    return Err(self.count_zero());
                }
                self.indirect_entry_by_entry(&spec, ioba, list, count)
            }
        }
    }

    /// Runs steps 4 to 7 of H_PUT_TCE_INDIRECT: copies the first `count` words of the list at `hva`, then checks all
    /// entries, then writes them from entry `index` on. Fails, with nothing written, if `hva` is a hole
    /// (`LIST.UNBACKED`) or an entry fails its check.
    fn indirect_from_list(&mut self, spec: &WindowSpec, index: u64, hva: Hva, count: u64) -> Checked<Outcome> {
        let Some((first, pte)) = self.entry_at(hva) else {
            let hole = self.end(Status::PARAMETER, Rule::ListUnbacked);
            return Err(Outcome { owes: self.owed_for_list(Pte::Hole).unwrap_or(hole.owes), ..hole });
        };
        let owed = self.owed_for_list(pte);
        let tces = self.read_list(first, hva, count);
        self.check_and_write(spec, index, &tces, true, owed)
    }

    /// Runs H_PUT_TCE_INDIRECT in dialect `qemu`, with the result of reading a word, checking the IOBA and storing, one
    /// entry at a time: the list is read (as zeros if unbacked) before the IOBA is checked, and the entries up to the
    /// end of the window are stored. Always returns `Ok`, also for a call that answers H_PARAMETER.
    fn indirect_entry_by_entry(&mut self, spec: &WindowSpec, ioba: u64, list: u64, count: u64) -> Checked<Outcome> {
        let hva = self.hva_of(Gpa(list));
        let owed = hva.and_then(|hva| self.owed_for_list(self.pte(hva)));
        let backed = hva.and_then(|hva| self.entry_at(hva).map(|(first, _)| (first, hva)));
        let tces: Vec<Tce> = match backed {
            Some((first, hva)) => self.read_list(first, hva, count),
            None => (0..count).map(|_| Tce(0)).collect(),
        };
        let written = self.write_prefix(spec, ioba, &tces, owed);
        let (Ok(mut outcome) | Err(mut outcome)) = written;
        if backed.is_none() {
            outcome.rules.insert(Rule::ListUnbacked);
        }
        if let Some(owed) = owed {
            outcome.owes = owed;
        }
        Ok(outcome)
    }

    /// Writes the entries from the IOBA on, up to the end of the window. Fails with `IOBA.RANGE` if the IOBA lies
    /// outside the window (nothing is written) or the range crosses the window's end (the prefix is written). `owed` is
    /// what the list has already decided about real mode.
    fn write_prefix(&mut self, spec: &WindowSpec, ioba: u64, tces: &[Tce], owed: Option<Owes>) -> Checked<Outcome> {
        let count = tces.len() as u64;
        let index = self.entry_of(spec, ioba)?;
        let fits = self.entries_that_fit(spec, index, count)?;
        let prefix = tces.get(..fits as usize).unwrap_or(tces);
        let outcome = self.check_and_write(spec, index, prefix, true, owed)?;
        self.unless_crossing(outcome, fits < count)
    }

    /// Ends a call that stored entries with the outcome `written`. Returns `written` unless `crossing`, which says that
    /// the range crosses the end of the window; then fails with `IOBA.RANGE` and adds the rules of `written`.
    fn unless_crossing(&self, written: Outcome, crossing: bool) -> Checked<Outcome> {
        if !crossing {
            return Ok(written);
        }
        let mut outcome = self.end(Status::PARAMETER, Rule::IobaRange);
        for rule in written.rules.iter() {
            outcome.rules.insert(rule);
        }
        Err(Outcome { owes: written.owes, ..outcome })
    }

    /// Returns the answers of the program's dialect.
    pub(crate) const fn answers(&self) -> Answers {
        answers(self.dialect)
    }

    /// Makes the outcome of a call that ends with `status` under `rule` and leaves r4 unchanged. `owes` is that of
    /// `must_finish`, unless the caller changes it.
    pub(crate) fn end(&self, status: Status, rule: Rule) -> Outcome {
        let owes = self.must_finish();
        Outcome { owes, ..Outcome::decided(Answer::Hypercall { status, r4: None }, rule) }
    }

    /// Returns the description of the window with this LIOBN, or fails with `LIOBN.UNKNOWN`.
    fn known_window(&self, liobn: u64) -> Checked<WindowSpec> {
        match self.window(Liobn(liobn)) {
            Some(window) => Ok(window.spec),
            None => Err(Outcome { owes: UNKNOWN_LIOBN, ..self.end(Status::PARAMETER, Rule::LiobnUnknown) }),
        }
    }

    /// Returns the number, from 0, of the window's entry at `ioba`. Fails with `IOBA.ALIGN` if `ioba` is unaligned and
    /// the dialect does not round it down, and with `IOBA.RANGE` if it lies outside the window.
    fn entry_of(&self, spec: &WindowSpec, ioba: u64) -> Checked<u64> {
        let inside_page = ioba & (spec.page() - 1);
        let ioba = match self.answers().unaligned_ioba {
            UnalignedIoba::Refuse if inside_page != 0 => {
                return Err(self.end(Status::PARAMETER, Rule::IobaAlign));
            }
            UnalignedIoba::Refuse => ioba,
            UnalignedIoba::RoundDown => ioba - inside_page,
        };
        match ioba.checked_sub(spec.base).map(|offset| offset >> spec.page_shift) {
            Some(index) if index < spec.entries => Ok(index),
            _ => Err(self.end(Status::PARAMETER, Rule::IobaRange)),
        }
    }

    /// Returns how many of `count` entries from `index` on are written. Fails with `IOBA.RANGE` if the range crosses
    /// the end and the dialect refuses that. `index` must lie in the window.
    fn entries_that_fit(&self, spec: &WindowSpec, index: u64, count: u64) -> Checked<u64> {
        let room = spec.entries - index;
        match self.answers().crossing_range {
            CrossingRange::Refuse if count > room => Err(self.end(Status::PARAMETER, Rule::IobaRange)),
            CrossingRange::Refuse => Ok(count),
            CrossingRange::StorePrefix => Ok(count.min(room)),
        }
    }

    /// Checks the count limit of H_STUFF_TCE (`COUNT.STUFF`).
    fn stuff_limit(&self, spec: &WindowSpec, count: u64) -> Checked<()> {
        match self.answers().stuff_limit {
            StuffLimit::Fixed if count > MAX_TCES_PER_CALL => Err(self.end(Status::P4, Rule::CountStuff)),
            StuffLimit::WindowEntries if count > spec.entries => Err(self.end(Status::PARAMETER, Rule::CountStuff)),
            StuffLimit::Fixed | StuffLimit::WindowEntries | StuffLimit::RangeOnly => Ok(()),
        }
    }

    /// Fails with `COUNT.INDIRECT` if the count of H_PUT_TCE_INDIRECT is above 512.
    fn indirect_limit(&self, count: u64) -> Checked<()> {
        if count > MAX_TCES_PER_CALL { Err(self.end(Status::PARAMETER, Rule::CountIndirect)) } else { Ok(()) }
    }

    /// Checks the alignment of the list (`LIST.ALIGN`).
    fn list_align(&self, list: u64) -> Checked<()> {
        if Gpa(list).is_aligned(LIST_BYTES) { Ok(()) } else { Err(self.end(Status::PARAMETER, Rule::ListAlign)) }
    }

    /// Makes the outcome of a call with count 0 (`COUNT.ZERO`): H_SUCCESS or H_PARAMETER, as the dialect says. The
    /// caller decides at which place in the order of checks.
    fn count_zero(&self) -> Outcome {
        let status = match self.answers().count_zero {
            CountZero::SucceedAfterRange | CountZero::SucceedAfterSlotOrPermission => Status::SUCCESS,
            CountZero::Refuse => Status::PARAMETER,
        };
        self.end(status, Rule::CountZero)
    }

    /// Fails with `STUFF.PERM` if the value of H_STUFF_TCE has permissions and the dialect refuses such a value.
    fn stuff_permissions(&self, tce: Tce) -> Checked<()> {
        match self.answers().stuff_permissions {
            StuffPermissions::Refuse if tce.has_permissions() => Err(self.end(Status::PARAMETER, Rule::StuffPerm)),
            StuffPermissions::Refuse | StuffPermissions::Map => Ok(()),
        }
    }

    /// Returns the hva of the list at guest physical address `list`, or fails with `LIST.UNBACKED` if the list lies
    /// outside guest memory. Its first byte decides for all, because 4 KiB aligned to 4 KiB lie in one guest frame.
    fn list_slot(&self, list: u64) -> Checked<Hva> {
        self.hva_of(Gpa(list)).ok_or_else(|| self.end(Status::PARAMETER, Rule::ListUnbacked))
    }

    /// Copies the first `count` words of the list at `hva`, which the page-table entry with first hva `first` covers.
    /// The entry becomes young; an absent page is faulted in.
    fn read_list(&mut self, first: Hva, hva: Hva, count: u64) -> Vec<Tce> {
        self.access(first, false);
        let Some(at) = self.real_address(hva) else { return Vec::new() };
        (0..count).map(|i| Tce(self.ram_word(contract::RealAddr(at.0 + 8 * i)))).collect()
    }
}

/// What real mode owes for an unknown LIOBN (docs/semantics.md, section 5, item 1).
const UNKNOWN_LIOBN: Owes = Owes::May("the LIOBN is unknown, user space may own it");
