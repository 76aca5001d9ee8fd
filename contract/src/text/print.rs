//! Programs as text.

use core::fmt::{self, Display, Formatter};

use crate::description::{
    AddrRun, Backing, CompoundSpec, Machine, Mapping, MemoryModel, Pte, SlotSpec, WindowSpec, WordRun,
};
use crate::hcall::Hypercall;
use crate::program::{Program, Step};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", super::HEADER)?;
        writeln!(f, "dialect {}", self.dialect)?;
        write!(f, "{}", self.machine)?;
        writeln!(f, "steps")?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (shift, size) = (self.page_shift.bits(), self.struct_page);
        match &self.memory {
            MemoryModel::Flatmem { array, pages } => {
                writeln!(f, "machine flatmem page_shift={shift} struct_page={size} array={array} pages={pages}")?;
            }
            MemoryModel::SparsememVmemmap { base, block_shift, list, sections, blocks } => {
                writeln!(
                    f,
                    "machine sparsemem-vmemmap page_shift={shift} struct_page={size} base={base:#x} block_shift={block_shift} \
                     list={list}"
                )?;
                for group in sections.chunks(16) {
                    write!(f, "section")?;
                    for section in group {
                        write!(f, " {section:#x}")?;
                    }
                    writeln!(f)?;
                }
                for run in blocks {
                    writeln!(f, "block {:#x} at={}", run.first, run.places)?;
                }
            }
        }
        for page in &self.pages {
            writeln!(f, "page {} own={}{}", page.pfn, page.own, if page.dirty { " dirty" } else { "" })?;
        }
        for compound in &self.compounds {
            writeln!(f, "compound {compound}")?;
        }
        for slot in &self.slots {
            writeln!(f, "slot {slot}")?;
        }
        for Mapping { hva, pages, pte } in &self.mappings {
            write!(f, "map {hva} {pte}")?;
            if *pages != 1 {
                write!(f, " pages={pages}")?;
            }
            writeln!(f)?;
        }
        for ram in &self.ram {
            write!(f, "ram {}", ram.at)?;
            for run in &ram.words {
                write!(f, " {run}")?;
            }
            writeln!(f)?;
        }
        for window in &self.windows {
            writeln!(f, "window {window}")?;
        }
        Ok(())
    }
}

impl Display for AddrRun {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "{}", self.at),
            count => write!(f, "{}*{count}", self.at),
        }
    }
}

impl Display for WordRun {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.stride, self.count) {
            (0, 1) => write!(f, "{:#x}", self.value),
            (0, count) => write!(f, "{:#x}*{count}", self.value),
            (stride, count) => write!(f, "{:#x}+{stride:#x}*{count}", self.value),
        }
    }
}

impl Display for CompoundSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} order={}", self.pfn, self.order)
    }
}

impl Display for SlotSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} gfn={} pages={} hva={}", self.id, self.gfn, self.pages, self.hva)
    }
}

impl Display for Pte {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let flags = |f: &mut Formatter<'_>, writable: bool, dirty: bool, young: bool| {
            for (set, word) in [(writable, " writable"), (dirty, " dirty"), (young, " young")] {
                if set {
                    f.write_str(word)?;
                }
            }
            Ok(())
        };
        match *self {
            Self::Hole => f.write_str("hole"),
            Self::Present { pfn, writable, dirty, young } => {
                write!(f, "present pfn={pfn}")?;
                flags(f, writable, dirty, young)
            }
            Self::Huge { pfn, order, writable, dirty, young } => {
                write!(f, "huge pfn={pfn} order={order}")?;
                flags(f, writable, dirty, young)
            }
            Self::Absent { pfn } => write!(f, "absent pfn={pfn}"),
        }
    }
}

impl Display for WindowSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} page_shift={} base={:#x} entries={}", self.liobn, self.page_shift, self.base, self.entries)?;
        match self.backing {
            Backing::Emulated => write!(f, " emulated table={}", self.table),
            Backing::Pinned { hardware } => write!(f, " pinned table={} hardware={hardware}", self.table),
        }
    }
}

impl Display for Hypercall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "hcall={:#x}", self.opcode)?,
        }
        let fields = self.fields();
        for (index, value) in self.args.iter().enumerate() {
            match fields.get(index) {
                Some(&"count") => write!(f, " count={value}")?,
                Some(field) => write!(f, " {field}={value:#x}")?,
                // Registers that the call does not read are told where they are not zero.
                None if *value != 0 => write!(f, " r{}={value:#x}", index + 4)?,
                None => {}
            }
        }
        Ok(())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Hypercall { vcpu, call } => write!(f, "cpu{vcpu} {call}"),
            Self::Lookup { pfn }
            | Self::GetPage { pfn }
            | Self::PutPage { pfn }
            | Self::Take { pfn }
            | Self::Drop { pfn }
            | Self::SplitCompound { pfn } => write!(f, "{kind} {pfn}"),
            Self::Map { hva, pte } => write!(f, "{kind} {hva} {pte}"),
            Self::Unmap { hva } | Self::Age { hva } | Self::Clean { hva } | Self::WriteProtect { hva } => {
                write!(f, "{kind} {hva}")
            }
            Self::Migrate { hva, pfn } => write!(f, "{kind} {hva} pfn={pfn}"),
            Self::MakeCompound(compound) => write!(f, "{kind} {compound}"),
            Self::HotAdd { section, blocks } => {
                write!(f, "{kind} {section:#x}")?;
                for run in blocks {
                    write!(f, " {run}")?;
                }
                Ok(())
            }
            Self::HotRemove { section } => write!(f, "{kind} {section:#x}"),
            Self::Slot(slot) => write!(f, "{kind} {slot}"),
            Self::Write { gpa, words } => {
                write!(f, "{kind} {gpa}")?;
                for run in words {
                    write!(f, " {run}")?;
                }
                Ok(())
            }
            Self::CreateWindow(window) => write!(f, "{kind} {window}"),
            Self::CloseWindow { liobn } => write!(f, "{kind} {liobn}"),
        }
    }
}
