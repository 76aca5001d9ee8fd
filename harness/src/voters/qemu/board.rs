//! The windows that a QEMU can have: those that it is started with, and those that RTAS can make.
//!
//! | LIOBN | window | how it comes to be |
//! |---|---|---|
//! | `0x80000000 \| index << 8` | any base, any number of 4 KiB entries | default window of PCI host bridge `index`, by its properties |
//! | the same | any base, 2^n entries of a larger page | the default window removed, another created through RTAS |
//! | `0x80000001 \| index << 8` | any base, 2^n entries | a second window, created through RTAS |
//! | any other of 32 bits but `0xffffffff` | base 0, 65,536 entries of 4 KiB | a VIO device, whose LIOBN is its `reg` |
//!
//! Every QEMU has bridge 0 and the VIO window of the NVRAM, even if the program has no such windows.

use std::collections::{BTreeMap, BTreeSet};

use contract::{Backing, Liobn, Program, RealAddr, Step, WindowSpec};

use crate::voters::ahead::Uncovered;

/// The lowest LIOBN of a PCI host bridge: that of window 0 of bridge 0.
const BRIDGE_LIOBNS: u64 = 0x8000_0000;
/// Number of PCI host bridges that a machine can have. Their indices are below this number.
const MAX_BRIDGES: u64 = 31;
/// Number of entries of a VIO device's window: 256 MiB in pages of 4 KiB.
pub const VIO_ENTRIES: u64 = 1 << 16;
/// LIOBN of the VIO window of the NVRAM, which every machine has.
pub const NVRAM: u64 = 0x7100_0000;
/// The page sizes that bridges offer (property `pgsz`): bit n stands for pages of 2^n bytes, for n from 12 to 34. A
/// window can have any one of these sizes.
const PAGE_SIZES: u64 = ((1 << 35) - 1) & !0xfff;

/// The device that the window of a LIOBN belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// PCI host bridge `index`, from 0. `number` is 0 for the first window of the bridge and 1 for its second window.
    Bridge { index: u32, number: usize },
    /// A VIO device, which has one window.
    Vio,
}

/// Returns the device that the window with this LIOBN belongs to; `None` if the LIOBN does not fit 32 bits.
pub(super) fn place(liobn: u64) -> Option<Place> {
    let (index, number) = (liobn.wrapping_sub(BRIDGE_LIOBNS) >> 8, liobn & 0xff);
    match (u32::try_from(liobn), u32::try_from(index)) {
        (Err(_), _) => None,
        (_, Ok(index)) if u64::from(index) < MAX_BRIDGES && number < 2 => {
            Some(Place::Bridge { index, number: number as usize })
        }
        _ => Some(Place::Vio),
    }
}

/// The properties with which a PCI host bridge is started. A property is `None` if no window of the board needs a value
/// for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Bridge {
    /// Property `dma_win_addr`: base of window 0, as an I/O bus address in bytes.
    base: Option<u64>,
    /// Property `dma_win_size`, in units of 4 KiB: number of entries of the default window.
    entries: Option<u64>,
    /// Property `dma64_win_addr`: base of window 1, as an I/O bus address in bytes.
    second_base: Option<u64>,
}

impl Bridge {
    /// Returns the same properties with a value of the harness's choice in place of each `None`.
    fn filled(&self) -> Self {
        Self {
            base: self.base.or(Some(0)),
            entries: self.entries.or(Some(1)),
            second_base: self.second_base.or(Some(1 << 59)),
        }
    }
}

/// The windows that one QEMU is started with, or can come to have while it runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Board {
    bridges: BTreeMap<u32, Bridge>,
    vio: BTreeSet<u32>,
}

/// Sets `slot` to `value` if the slot is `None`. Returns whether the slot now holds `value`.
fn agree(slot: &mut Option<u64>, value: u64) -> bool {
    *slot.get_or_insert(value) == value
}

impl Board {
    /// Returns the board that a program needs: the windows of its machine and, as far as they fit beside these, the
    /// windows that its steps create.
    ///
    /// # Errors
    /// Fails if QEMU cannot have one of the windows of the machine. The text says which window, and why.
    pub fn of(program: &Program) -> Result<Self, Uncovered> {
        let mut board = Self::default();
        for window in &program.machine.windows {
            board.add(window)?;
        }
        for step in &program.steps {
            if let Step::CreateWindow(window) = step {
                let before = board.clone();
                if board.add(window).is_err() {
                    board = before;
                }
            }
        }
        Ok(board)
    }

    /// Adds what a window needs to the board.
    ///
    /// # Errors
    /// Fails if QEMU cannot have the window, or not beside the windows of the board; the text says why. The board may
    /// be changed then.
    pub fn add(&mut self, window: &WindowSpec) -> Result<(), Uncovered> {
        let told = |why: &str| Err(format!("QEMU cannot have window {}: {why}", window.liobn));
        if window.backing != Backing::Emulated {
            return told("it has no pinned windows");
        }
        match place(window.liobn.0) {
            None => told("its LIOBNs have 32 bits"),
            Some(Place::Vio) if window.liobn.0 == u64::from(u32::MAX) => told("a VIO device cannot have that LIOBN"),
            Some(Place::Vio) => {
                if (window.page_shift, window.base, window.entries) != (12, 0, VIO_ENTRIES) {
                    return told("a VIO window has base 0 and 65,536 entries of 4 KiB");
                }
                self.vio.insert(window.liobn.0 as u32);
                Ok(())
            }
            Some(Place::Bridge { index, number }) => {
                let bridge = self.bridges.entry(index).or_default();
                let fits = match (number, window.page_shift) {
                    (0, 12) => agree(&mut bridge.base, window.base) && agree(&mut bridge.entries, window.entries),
                    (_, 12..=34) if !window.entries.is_power_of_two() => {
                        return told("a window that RTAS creates has 2^n entries");
                    }
                    (0, 13..=34) => agree(&mut bridge.base, window.base),
                    (_, 12..=34) => agree(&mut bridge.second_base, window.base),
                    _ => return told("its page size"),
                };
                if fits { Ok(()) } else { told("another window of its LIOBN has another base or size") }
            }
        }
    }

    /// Returns whether a QEMU that was started with this board can have all windows of the board `other`.
    pub(super) fn serves(&self, other: &Self) -> bool {
        let there = |here: Option<u64>, needed: Option<u64>| needed.is_none() || needed == here;
        other.vio.iter().all(|reg| self.has_vio(*reg))
            && other.bridges.iter().all(|(index, needed)| match self.bridges.get(index) {
                Some(bridge) => {
                    there(bridge.base, needed.base)
                        && there(bridge.entries, needed.entries)
                        && there(bridge.second_base, needed.second_base)
                }
                None => *index == 0 && *needed == Bridge::default(),
            })
    }

    /// Returns whether a QEMU with this board has the VIO window with this LIOBN.
    pub(super) fn has_vio(&self, reg: u32) -> bool {
        u64::from(reg) == NVRAM || self.vio.contains(&reg)
    }

    /// Returns the indices of the PCI host bridges, among them always bridge 0.
    pub(super) fn bridges(&self) -> impl Iterator<Item = u32> + '_ {
        let first = if self.bridges.contains_key(&0) { None } else { Some(0) };
        first.into_iter().chain(self.bridges.keys().copied())
    }

    /// Returns the LIOBNs of the VIO windows that were added to the board; that of the NVRAM only if it was added.
    pub(super) fn vio(&self) -> impl Iterator<Item = u64> + '_ {
        self.vio.iter().map(|reg| u64::from(*reg))
    }

    /// Returns the default window of the bridge with this index, with its LIOBN. The bridge has this window when it
    /// starts and after a reset. The result is never `None`.
    pub(super) fn default_window(&self, index: u32) -> Option<(u64, WindowSpec)> {
        let bridge = self.bridges.get(&index).cloned().unwrap_or_default().filled();
        let liobn = BRIDGE_LIOBNS | u64::from(index) << 8;
        Some((liobn, window(liobn, bridge.base?, bridge.entries?)))
    }

    /// Returns the arguments that give a QEMU this board.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let properties = |bridge: &Bridge| {
            let set = [
                ("dma_win_addr", bridge.base),
                ("dma_win_size", bridge.entries.map(|entries| entries << 12)),
                ("dma64_win_addr", bridge.second_base),
                ("pgsz", Some(PAGE_SIZES)),
            ];
            set.into_iter().filter_map(|(name, value)| Some((name, value?)))
        };
        // The machine makes bridge 0 itself, so its properties are set as defaults. The other bridges set their own.
        for (name, value) in properties(&self.bridges.get(&0).cloned().unwrap_or_default().filled()) {
            arguments.push("-global".into());
            arguments.push(format!("spapr-pci-host-bridge.{name}={value:#x}"));
        }
        for (index, bridge) in self.bridges.iter().filter(|(index, _)| **index != 0) {
            let mut device = format!("spapr-pci-host-bridge,index={index}");
            for (name, value) in properties(&bridge.filled()) {
                device.push_str(&format!(",{name}={value:#x}"));
            }
            arguments.push("-device".into());
            arguments.push(device);
        }
        for reg in self.vio.iter().filter(|reg| u64::from(**reg) != NVRAM) {
            arguments.push("-device".into());
            arguments.push(format!("spapr-vscsi,reg={reg:#x}"));
        }
        arguments
    }
}

/// Returns the window of the VIO device with this LIOBN.
pub(super) fn vio_window(liobn: u64) -> WindowSpec {
    window(liobn, 0, VIO_ENTRIES)
}

fn window(liobn: u64, base: u64, entries: u64) -> WindowSpec {
    let (liobn, table) = (Liobn(liobn), RealAddr(0));
    WindowSpec { liobn, page_shift: 12, base, entries, table, backing: Backing::Emulated }
}
