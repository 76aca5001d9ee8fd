//! The kernel's list of backed blocks, which the host keeps in real memory for subjects that walk it
//! (docs/semantics.md, section 1).

use alloc::vec::Vec;

use contract::RealAddr;
use contract::description::{LIST_AREA_BYTES, LIST_NODE_BYTES};

use crate::memory::{Fault, RealMemory};

/// Offset in a node of the next node's real address, 0 in the last.
const NEXT: u64 = 0;
/// Offset in a node of the block's real address.
const REAL: u64 = 8;
/// Offset in a node of the block's virtual address.
const VIRTUAL: u64 = 16;

/// The list, as the host keeps it outside memory.
#[derive(Default)]
pub(super) struct VmemmapList {
    /// Real address of the word that points to the first node.
    at: u64,
    /// Real address of the first node that was never used.
    carve: u64,
    /// Removed nodes, reused last in, first out.
    freed: Vec<u64>,
    /// Nodes with the numbers of their blocks; the front of the list is last.
    nodes: Vec<(u64, u64)>,
}

impl VmemmapList {
    /// Empties the list. Its area of [`LIST_AREA_BYTES`] bytes begins at `at`.
    pub(super) fn reset(&mut self, at: u64) {
        self.at = at;
        self.carve = at + 8;
        self.freed.clear();
        self.nodes.clear();
    }

    /// Pushes a node for the block on the front. There must be room for it: else it is a [`Fault`].
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

    /// Removes the block's node. There must be one: else it is a [`Fault`].
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

/// Reports a [`Fault`] if the pointer at `at` does not lead to `node`: only the host stores to the list.
fn expect(memory: &RealMemory, at: u64, node: u64) {
    let found = memory.peek(RealAddr(at));
    if found != node {
        memory.report_fault(Fault::List { at: RealAddr(at), expected: node, found });
    }
}
