//! Draws new steps for an existing program, with the generator's [`Writer`].

use contract::description::{CompoundSpec, MemoryModel};
use contract::{Backing, Program, Step};

use super::sights::{LAST_SECTION, Sights};
use crate::focus::Focus;
use crate::generate::Features;
use crate::generate::dice::Dice;
use crate::generate::machine::{GuestPage, Places};
use crate::generate::steps::Writer;
use crate::generate::swarm::Swarm;

/// The kind of steps to draw.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Steps of any kind that the focus runs.
    Any,
    /// A `write` step with a TCE list, then the H_PUT_TCE_INDIRECT that reads the list.
    List,
    /// A call whose TCEs name a page, an `unmap` of the page, then a call that replaces these TCEs.
    LastReference,
    /// A step that creates or closes a DMA window.
    Window,
}

/// Largest number of mapped guest pages, of host pages and of the machine's compound pages that the writer chooses
/// from. It is small enough that two steps often name the same page.
const CHOICE: usize = 8;

/// Draws new steps of the wanted kind, for insertion at index `at` of the program. Steps that the focus does not run
/// are left out. Returns none if six tries gave none.
pub(super) fn steps(program: &Program, at: usize, wanted: Wanted, focus: Focus, dice: &mut Dice<'_>) -> Vec<Step> {
    let sights = Sights::new(program, at);
    let swarm = swarm(sights, dice);
    let machine = &program.machine;
    let shift = machine.page_shift.bits();
    let mapped = (0..CHOICE).filter_map(|_| {
        let place = sights.guest(dice)?;
        Some(GuestPage { gfn: place.gpa >> shift, hva: place.hva })
    });
    let mapped = mapped.collect();
    let last = sights.slot_edges(dice).map(|[_, last, _]| last);
    let hole = last.and_then(|gpa| Some(GuestPage { gfn: gpa >> shift, hva: sights.hva_of(gpa)? }));
    let pool: Vec<_> = (0..CHOICE).map(|_| sights.pfn(dice)).collect();
    let mut groups: Vec<CompoundSpec> = machine.compounds.iter().copied().take(CHOICE).collect();
    let order = dice.between(1, 4) as u32;
    groups.push(CompoundSpec { pfn: contract::Pfn(pool[0].0 >> order << order), order });
    let absent = if swarm.flatmem { Vec::new() } else { (0..3).map(|_| sights.section(false, dice)).collect() };
    let mut writer = Writer {
        swarm: &swarm,
        machine,
        windows: sights.windows().copied().collect(),
        closed: sights.closed_window(dice).into_iter().collect(),
        mapped,
        holes: hole.into_iter().collect(),
        pool,
        absent_sections: absent.into_iter().filter(|&section| section <= LAST_SECTION).collect(),
        groups,
        places: Places::from(sights.room()),
        list: None,
        steps: Vec::new(),
    };
    for _ in 0..6 {
        write(&mut writer, wanted, focus, dice);
        writer.steps.retain(|step| focus.keeps(step));
        if !writer.steps.is_empty() {
            break;
        }
    }
    writer.steps
}

fn write(writer: &mut Writer<'_>, wanted: Wanted, focus: Focus, dice: &mut Dice<'_>) {
    match wanted {
        Wanted::List => {
            if let Some(window) = dice.pick_from(&writer.windows) {
                writer.call(&window, 3, false, 0, dice);
            }
        }
        Wanted::LastReference => writer.last_reference(dice),
        Wanted::Window => writer.window(dice),
        Wanted::Any if focus.has_windows() => writer.step(dice),
        Wanted::Any if focus.has_guest() => match dice.weighted(&[30, 15, 15, 10, 10, 10, 5, 5]) {
            0 => writer.probe(dice),
            1 => writer.mapping(dice),
            2 => writer.own_reference(dice),
            3 => writer.migrate(dice),
            4 => writer.compound(dice),
            5 => writer.hotplug(dice),
            6 => writer.slot(dice),
            _ => writer.flags(dice),
        },
        // `hotplug` writes nothing if no section is absent.
        Wanted::Any => match dice.below(2) {
            0 => writer.hotplug(dice),
            _ => writer.probe(dice),
        },
    }
}

/// Returns a swarm for drawing steps on the program's machine. Almost all features are on: the machine exists already,
/// so the features decide only which steps are drawn.
fn swarm(sights: Sights<'_>, dice: &mut Dice<'_>) -> Swarm {
    let machine = sights.machine();
    let dialect = sights.program.dialect;
    let (flatmem, block_shift) = match machine.memory {
        MemoryModel::Flatmem { .. } => (true, 16),
        MemoryModel::SparsememVmemmap { block_shift, .. } => (false, block_shift),
    };
    let emulated = machine.windows.iter().any(|window| window.backing == Backing::Emulated);
    Swarm {
        dialect,
        page_shift: machine.page_shift,
        struct_page: machine.struct_page,
        flatmem,
        block_shift,
        pinned: dialect.has_pinned_windows(),
        emulated: emulated || dice.percent(20),
        compound: !machine.compounds.is_empty() || dice.percent(10),
        absent: true,
        imperfect: true,
        own: true,
        hotplug: !flatmem,
        migrate: true,
        slots: true,
        // Low, because windows have an operator of their own, and every call after a closed window is refused.
        windows: dice.percent(20),
        probes: true,
        long: dice.percent(3),
        edges: true,
        wrong: 6,
        steps: 1,
        allowed: Features::ALL,
        gfns: u64::MAX,
        slot_pages: u64::MAX,
        choice: None,
    }
}
