//! The kernel's list of backed blocks, which the host keeps in real memory for subjects that walk it
//! (docs/semantics.md, section 1).

use alloc::vec::Vec;

use contract::RealAddr;
use contract::description::{LIST_AREA_BYTES, LIST_NODE_BYTES};

use crate::memory::{Fault, RealMemory};

/// Offset in bytes in a list node of the real address of the next node, which is 0 in the last node.
const NEXT: u64 = 0;
/// Offset in bytes in a list node of the real address of its vmemmap block.
const REAL: u64 = 8;
/// Offset in bytes in a list node of the virtual address of its vmemmap block.
const VIRTUAL: u64 = 16;

/// The vmemmap list, as the host keeps it beside the list in memory.
#[derive(Default)]
pub(super) struct VmemmapList {
    /// Real address of the list's first word, which holds the real address of the first node (0 for none).
    at: u64,
    /// Real address of the first piece of the list's area that was never used for a node.
    carve: u64,
    /// Real addresses of removed nodes. The node that was removed last is reused first.
    freed: Vec<u64>,
    /// Real address and block number of each node. The front of the list is the last element.
    nodes: Vec<(u64, u64)>,
}

impl VmemmapList {
    /// Empties the host's record of the list, but does not change memory. The list's area of [`LIST_AREA_BYTES`] bytes
    /// begins at real address `at`.
    pub(super) fn reset(&mut self, at: u64) {
        self.at = at;
        self.carve = at + 8;
        self.freed.clear();
        self.nodes.clear();
    }

    /// Pushes a node for vmemmap block number `block`, at real address `real` and virtual address `virt`, on the front
    /// of the list, in memory and in the host's record. If the list's area is full, reports a [`Fault`] and pushes
    /// nothing. Also reports a [`Fault`], but pushes the node, if the first word of the list does not point to the
    /// front node.
    pub(super) fn push(&mut self, memory: &mut RealMemory, block: u64, real: RealAddr, virt: u64) {
        let node = match self.freed.pop() {
            Some(node) => node,
            None => {
                let node = self.carve;
                if node + LIST_NODE_BYTES > self.at + LIST_AREA_BYTES {
                    return memory.report_fault(Fault::ListFull { node: RealAddr(node) });
                }
                self.carve += LIST_NODE_BYTES;
                node
            }
        };
        // The last node points to 0.
        let front = self.nodes.last().map_or(0, |&(node, _)| node);
        expect(memory, self.at, front);
        memory.poke(RealAddr(node + NEXT), front);
        memory.poke(RealAddr(node + REAL), real.0);
        memory.poke(RealAddr(node + VIRTUAL), virt);
        memory.poke(RealAddr(self.at), node);
        self.nodes.push((node, block));
    }

    /// Removes the node of vmemmap block number `block` from the list, in memory and in the host's record. If the
    /// record has no such node, reports a [`Fault`] and changes nothing. Also reports a [`Fault`], but removes the
    /// node, if the word that should point to it does not.
    pub(super) fn remove(&mut self, memory: &mut RealMemory, block: u64) {
        let Some(index) = self.nodes.iter().position(|&(_, other)| other == block) else {
            return memory.report_fault(Fault::NoBlock { number: block });
        };
        let (node, _) = self.nodes.remove(index);
        let next = memory.peek(RealAddr(node + NEXT));
        // The node in front of it is now at `index`. If there is none, the list's first word points to the removed
        // node.
        let pointer = self.nodes.get(index).map_or(self.at, |&(node, _)| node + NEXT);
        expect(memory, pointer, node);
        memory.poke(RealAddr(pointer), next);
        self.freed.push(node);
    }
}

/// Reports a [`Fault`] if the word at real address `at` is not `node`, the real address of a node (0 for none): only
/// the host may store to the list.
fn expect(memory: &RealMemory, at: u64, node: u64) {
    let found = memory.peek(RealAddr(at));
    if found != node {
        memory.report_fault(Fault::List { at: RealAddr(at), expected: node, found });
    }
}
