//! The services: the functions behind `rm_services`, which an implementation calls.
//!
//! An implementation passes each the pointer that its handler got, which points to a [`Handle`] on the caller's stack.
//! A service may unwind: if a call makes too many accesses, the access panics, and the panic passes through the
//! library's frames.

use core::ffi::{CStr, c_char};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};

use contract::{Ea, Gpa, Hva, Pfn, Pte};
use machine::{Cpu, Mode};

use crate::header::{RM_PTE_ABSENT, RM_PTE_HOLE, RM_PTE_HUGE, RM_PTE_PRESENT, rm_cpu, rm_pte, rm_services};
use crate::slots::Slots;
use crate::told::Told;
use crate::view::View;

/// What a `struct rm_cpu` pointer points to: the CPU that runs the call, and what the services need besides it.
pub struct Handle<'a> {
    pub cpu: &'a Cpu<'a>,
    pub slots: &'a Slots,
    pub told: &'a Told,
    pub view: Option<&'a View>,
}

impl Handle<'_> {
    /// Returns the `struct rm_cpu` pointer to this handle, which a handler gets.
    pub const fn pointer(&self) -> *mut rm_cpu {
        core::ptr::from_ref(self).cast::<rm_cpu>().cast_mut()
    }

    /// Returns the handle that a `struct rm_cpu` pointer points to.
    ///
    /// # Safety
    /// The pointer must be the one that the running handler got.
    const unsafe fn of<'a>(cpu: *mut rm_cpu) -> &'a Self {
        // SAFETY: the caller promises it; the handle lives on the stack of the running call.
        unsafe { &*cpu.cast_const().cast::<Self>() }
    }

    /// Carries the stores that the implementation made through plain pointers into the image, then returns the CPU.
    /// Without mapped memory there are none.
    fn settled(&self) -> &Cpu<'_> {
        if let Some(view) = self.view {
            view.settle(self.cpu);
        }
        self.cpu
    }

    /// Writes the word `value` of 8 bytes, which a service was asked to store at `ea`, into the mapped memory too. Does
    /// nothing without mapped memory, or if `ea` means no real address.
    fn stored(&self, ea: u64, value: u64) {
        if let Some(view) = self.view
            && let Some(real) = self.cpu.real_address(Ea(ea))
        {
            view.store(real.0, value);
        }
    }
}

/// The table of all services, which a library gets in `rm_machine.services`.
pub static SERVICES: rm_services = rm_services {
    load64,
    store64,
    exchange64,
    compare_exchange64,
    load32,
    compare_exchange32,
    real_mode,
    vcpu,
    slot,
    load_pte,
    compare_exchange_pte,
    allocate,
    free_page,
    log,
};

// SAFETY, of every function below: a library calls it with the pointer that its running handler got, and with pointers
// to objects of its own, of the type that the header states. The function keeps none of them. A library that breaks
// this breaks the rules of C in its own code.

unsafe extern "C-unwind" fn load64(cpu: *mut rm_cpu, ea: u64) -> u64 {
    // SAFETY: see above.
    unsafe { Handle::of(cpu) }.settled().load(Ea(ea), Acquire)
}

unsafe extern "C-unwind" fn store64(cpu: *mut rm_cpu, ea: u64, value: u64) {
    // SAFETY: see above.
    let handle = unsafe { Handle::of(cpu) };
    handle.settled().store(Ea(ea), value, Release);
    handle.stored(ea, value);
}

unsafe extern "C-unwind" fn exchange64(cpu: *mut rm_cpu, ea: u64, value: u64) -> u64 {
    // SAFETY: see above.
    let handle = unsafe { Handle::of(cpu) };
    let old = handle.settled().swap(Ea(ea), value, AcqRel);
    handle.stored(ea, value);
    old
}

unsafe extern "C-unwind" fn compare_exchange64(cpu: *mut rm_cpu, ea: u64, expected: *mut u64, desired: u64) -> bool {
    // SAFETY: see above.
    let (handle, expected) = unsafe { (Handle::of(cpu), &mut *expected) };
    match handle.settled().compare_exchange(Ea(ea), *expected, desired, SeqCst, Acquire) {
        Ok(_) => {
            handle.stored(ea, desired);
            true
        }
        Err(found) => {
            *expected = found;
            false
        }
    }
}

unsafe extern "C-unwind" fn load32(cpu: *mut rm_cpu, ea: u64) -> i32 {
    // SAFETY: see above.
    unsafe { Handle::of(cpu) }.settled().load_i32(Ea(ea), Acquire)
}

unsafe extern "C-unwind" fn compare_exchange32(cpu: *mut rm_cpu, ea: u64, expected: *mut i32, desired: i32) -> bool {
    // SAFETY: see above.
    let (handle, expected) = unsafe { (Handle::of(cpu), &mut *expected) };
    match handle.settled().compare_exchange_i32(Ea(ea), *expected, desired, SeqCst, Acquire) {
        Ok(_) => {
            if let Some(view) = handle.view
                && let Some(real) = handle.cpu.real_address(Ea(ea))
            {
                view.store_half(real.0, desired);
            }
            true
        }
        Err(found) => {
            *expected = found;
            false
        }
    }
}

unsafe extern "C-unwind" fn real_mode(cpu: *mut rm_cpu) -> bool {
    // SAFETY: see above.
    unsafe { Handle::of(cpu) }.cpu.mode() == Mode::Real
}

unsafe extern "C-unwind" fn vcpu(cpu: *mut rm_cpu) -> u32 {
    // SAFETY: see above.
    unsafe { Handle::of(cpu) }.cpu.vcpu().into()
}

unsafe extern "C-unwind" fn slot(cpu: *mut rm_cpu, gpa: u64, hva: *mut u64) -> bool {
    // SAFETY: see above.
    let (handle, hva) = unsafe { (Handle::of(cpu), &mut *hva) };
    match handle.slots.hva(Gpa(gpa)) {
        Some(found) => {
            *hva = found.0;
            true
        }
        None => false,
    }
}

unsafe extern "C-unwind" fn load_pte(cpu: *mut rm_cpu, hva: u64, entry: *mut rm_pte) {
    // SAFETY: see above.
    let (handle, entry) = unsafe { (Handle::of(cpu), &mut *entry) };
    *entry = to_c(handle.settled().load_pte(Hva(hva)));
}

unsafe extern "C-unwind" fn compare_exchange_pte(
    cpu: *mut rm_cpu,
    hva: u64,
    expected: *mut rm_pte,
    desired: *const rm_pte,
) -> bool {
    // SAFETY: see above.
    let (handle, expected, desired) = unsafe { (Handle::of(cpu), &mut *expected, &*desired) };
    let (Some(current), Some(new)) = (from_c(expected), from_c(desired)) else {
        let kinds = format!("compare_exchange_pte of kinds {} and {}", expected.kind, desired.kind);
        handle.told.violation(kinds + ", expected RM_PTE_HOLE to RM_PTE_ABSENT, with orders below 32");
        return false;
    };
    match handle.settled().compare_exchange_pte(Hva(hva), current, new) {
        Ok(()) => true,
        Err(found) => {
            *expected = to_c(found);
            false
        }
    }
}

unsafe extern "C-unwind" fn allocate(cpu: *mut rm_cpu, bytes: u64) {
    // SAFETY: see above.
    unsafe { Handle::of(cpu) }.cpu.allocate(bytes);
}

unsafe extern "C-unwind" fn free_page(cpu: *mut rm_cpu, pfn: u64) {
    // SAFETY: see above.
    unsafe { Handle::of(cpu) }.settled().free_page(Pfn(pfn));
}

unsafe extern "C-unwind" fn log(cpu: *mut rm_cpu, line: *const c_char) {
    // SAFETY: see above; the line ends with a zero byte.
    let (handle, line) = unsafe { (Handle::of(cpu), CStr::from_ptr(line)) };
    handle.told.log(line.to_bytes());
}

/// Converts a page-table entry to `struct rm_pte`.
fn to_c(entry: Pte) -> rm_pte {
    let plain = rm_pte::default();
    match entry {
        Pte::Hole => rm_pte { kind: RM_PTE_HOLE, ..plain },
        Pte::Absent { pfn } => rm_pte { pfn: pfn.0, kind: RM_PTE_ABSENT, ..plain },
        Pte::Present { pfn, writable, dirty, young } => rm_pte {
            pfn: pfn.0,
            kind: RM_PTE_PRESENT,
            writable: writable.into(),
            dirty: dirty.into(),
            young: young.into(),
            ..plain
        },
        Pte::Huge { pfn, order, writable, dirty, young } => rm_pte {
            pfn: pfn.0,
            kind: RM_PTE_HUGE,
            order: order as u8,
            writable: writable.into(),
            dirty: dirty.into(),
            young: young.into(),
            ..plain
        },
    }
}

/// Converts a page-table entry from `struct rm_pte`; `None` for an unknown kind, or for a huge entry of order 32 or
/// more.
fn from_c(entry: &rm_pte) -> Option<Pte> {
    let pfn = Pfn(entry.pfn);
    let (writable, dirty, young) = (entry.writable != 0, entry.dirty != 0, entry.young != 0);
    match entry.kind {
        RM_PTE_HOLE => Some(Pte::Hole),
        RM_PTE_ABSENT => Some(Pte::Absent { pfn }),
        RM_PTE_PRESENT => Some(Pte::Present { pfn, writable, dirty, young }),
        RM_PTE_HUGE if entry.order < 32 => Some(Pte::Huge { pfn, order: entry.order.into(), writable, dirty, young }),
        _ => None,
    }
}
