//! TCEs: the checks of a TCE, pinning its page, and how entries are written (docs/semantics.md, section 4, steps 5 to
//! 7).

use contract::dialect::{UnalignedTce, UnbackedTce};
use contract::{Backing, Gpa, Hva, Liobn, Pfn, Pte, Rule, Status, Tce, WindowSpec};

use crate::hypercall::Checked;
use crate::state::{Reference, Window};
use crate::{Answer, Object, Outcome, Owes};

/// An entry that the call is about to write.
#[derive(Clone, Copy)]
pub(crate) struct NewEntry {
    pub(crate) index: u64,
    pub(crate) tce: Tce,
    /// The host page, if the TCE has permissions and the window is pinned.
    pub(crate) target: Option<Target>,
}

/// The host page that a new hardware entry will name.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// First hva of the page-table entry that covers the page.
    pub(crate) hva: Hva,
    /// pfn of the page itself, not of its head.
    pub(crate) pfn: Pfn,
}

impl Reference {
    /// Runs steps 5 to 7 for the entries from `first` on, one for each of `tces`, all of which must lie in the window.
    /// Writes nothing if a check fails. `indirect` is true for H_PUT_TCE_INDIRECT; `owed` is what the list has already
    /// decided about real mode.
    pub(crate) fn check_and_write(
        &mut self,
        spec: &WindowSpec,
        first: u64,
        tces: &[Tce],
        indirect: bool,
        owed: Option<Owes>,
    ) -> Checked<Outcome> {
        let owing = |outcome: Outcome| Outcome { owes: owed.unwrap_or(outcome.owes), ..outcome };
        for tce in tces {
            self.check_tce(spec, *tce, indirect).map_err(owing)?;
        }
        let new = self.pin(spec, first, tces).map_err(owing)?;
        let owes = match spec.backing {
            Backing::Emulated => self.must_finish(),
            Backing::Pinned { .. } => self.owed_for_success(spec, &new),
        };
        Ok(owing(Outcome { owes, ..self.write_entries(spec.liobn, &new) }))
    }

    /// Runs step 5 for one TCE: fails with `TCE.ALIGN` or `TCE.UNBACKED` if the dialect refuses the TCE. `indirect` is
    /// true for entries of H_PUT_TCE_INDIRECT.
    fn check_tce(&self, spec: &WindowSpec, tce: Tce, indirect: bool) -> Checked<()> {
        let answers = self.answers();
        let between = tce.0 & (spec.page() - 1) & !(Tce::READ | Tce::WRITE);
        if answers.unaligned_tce == UnalignedTce::Refuse && tce.has_permissions() && between != 0 {
            return Err(self.end(Status::PARAMETER, Rule::TceAlign));
        }
        let address = address(tce);
        let backed = match answers.unbacked_tce {
            UnbackedTce::Store => true,
            UnbackedTce::RefuseWholePage => !tce.has_permissions() || self.is_guest_memory(address, spec.page()),
            UnbackedTce::RefuseFirstGfn => {
                let checked = tce.has_permissions() || indirect;
                !checked || self.hva_of(address).is_some()
            }
        };
        if backed { Ok(()) } else { Err(self.end(Status::PARAMETER, Rule::TceUnbacked)) }
    }

    /// Runs step 6: returns the entries to write, or fails with `PIN.HARDWARE` if the host cannot supply a page.
    /// Changes nothing.
    fn pin(&self, spec: &WindowSpec, first: u64, tces: &[Tce]) -> Checked<Vec<NewEntry>> {
        let pinned = matches!(spec.backing, Backing::Pinned { .. });
        let mut new = Vec::with_capacity(tces.len());
        for (index, tce) in (first..).zip(tces) {
            let target = if pinned && tce.has_permissions() { Some(self.target(*tce)?) } else { None };
            new.push(NewEntry { index, tce: *tce, target });
        }
        Ok(new)
    }

    /// Returns the host page of a TCE with permissions. Fails with `PIN.HARDWARE` if the page is a hole, or if the
    /// device may write and a present or huge entry maps the page read-only.
    fn target(&self, tce: Tce) -> Checked<Target> {
        let refused = || Outcome {
            owes: Owes::May("the host cannot supply the page"),
            ..self.end(Status::HARDWARE, Rule::PinHardware)
        };
        let hva = self.hva_of(address(tce)).ok_or_else(refused)?;
        let (first, pte) = self.entry_at(hva).ok_or_else(refused)?;
        let read_only = matches!(pte, Pte::Present { writable: false, .. } | Pte::Huge { writable: false, .. });
        if tce.device_may_write() && read_only {
            return Err(refused());
        }
        let pfn = self.page_in(first, pte, hva).ok_or_else(refused)?;
        Ok(Target { hva: first, pfn })
    }

    /// Runs step 7: faults in and marks the pages of the new entries, takes all new references, exchanges the entries,
    /// then gives the old pages back. Returns the outcome of a success, whose rule is that of the first entry.
    fn write_entries(&mut self, liobn: Liobn, new: &[NewEntry]) -> Outcome {
        for entry in new {
            if let Some(target) = entry.target {
                self.access(target.hva, entry.tce.device_may_write());
                self.add_reference(target.pfn);
            }
        }
        let mut outcome = self.end(Status::SUCCESS, Rule::TceFault);
        outcome.rule = None;
        outcome.rules = contract::RuleSet::EMPTY;
        let mut old_hardware = Vec::with_capacity(new.len());
        for entry in new {
            let hardware = self.hardware_value(entry);
            let Some(window) = self.windows.get_mut(&liobn) else { continue };
            let rule = entry_rule(window, entry, hardware, self.page_shift.bits());
            old_hardware.push(exchange(window, entry, hardware));
            self.touched.push(Object::Entry { liobn, index: entry.index });
            outcome.rule = outcome.rule.or(Some(rule));
            outcome.rules.insert(rule);
        }
        for value in old_hardware {
            self.release_hardware(value);
        }
        outcome.answer = Answer::Hypercall { status: Status::SUCCESS, r4: None };
        outcome
    }

    /// Returns the hardware entry for a new entry: `pfn << PAGE_SHIFT | address bits inside the host page |
    /// permissions`; 0 for a fault TCE and in an emulated window.
    fn hardware_value(&self, entry: &NewEntry) -> u64 {
        let Some(target) = entry.target else { return 0 };
        let inside = address(entry.tce).0 & (self.page_shift.bytes() - 1);
        let permissions = entry.tce.0 & (Tce::READ | Tce::WRITE);
        (target.pfn.0 << self.page_shift.bits()) | inside | permissions
    }

    /// Gives back the reference that the removed hardware entry `value` held. If the device could write the page, its
    /// head first becomes DIRTY. Does nothing for 0.
    pub(crate) fn release_hardware(&mut self, value: u64) {
        if value == 0 {
            return;
        }
        let pfn = Pfn(value >> self.page_shift.bits());
        if Tce(value).device_may_write() {
            let head = self.head(pfn);
            self.page_mut(head).dirty = true;
        }
        self.give_reference(pfn);
    }
}

/// Returns the guest physical address in a TCE: its bits from 12 up.
const fn address(tce: Tce) -> Gpa {
    Gpa(tce.0 & !0xfff)
}

/// Returns the rule that names the write of an entry: `MAP.NEW`, `MAP.EXCHANGE`, `MAP.SAME`, `UNMAP` or `TCE.FAULT`.
/// Must run before the write. `page_shift` is the host's.
fn entry_rule(window: &Window, entry: &NewEntry, new_hardware: u64, page_shift: u32) -> Rule {
    let old = Tce(window.guest(entry.index));
    let same_page = match window.spec.backing {
        Backing::Emulated => address(old) == address(entry.tce),
        Backing::Pinned { .. } => window.hardware(entry.index) >> page_shift == new_hardware >> page_shift,
    };
    match (old.has_permissions(), entry.tce.has_permissions()) {
        (false, false) => Rule::TceFault,
        (false, true) => Rule::MapNew,
        (true, false) => Rule::Unmap,
        (true, true) if same_page => Rule::MapSame,
        (true, true) => Rule::MapExchange,
    }
}

/// Stores the guest value and the hardware entry of `entry` in the window. Returns the old hardware entry, 0 for none.
fn exchange(window: &mut Window, entry: &NewEntry, hardware: u64) -> u64 {
    let old = window.hardware(entry.index);
    window.store(entry.index, entry.tce.0, hardware);
    old
}
