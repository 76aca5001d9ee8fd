//! placeholder until the mutator lands
use crate::focus::Focus;
/// placeholder
pub struct Mutator { focus: Focus }
impl Mutator {
    /// placeholder
    pub fn new(focus: Focus) -> Self { Self { focus } }
    /// placeholder
    pub fn mutate(&mut self, _buffer: &mut [u8], size: usize, max_size: usize, _seed: u64) -> usize { let _ = self.focus; size.min(max_size) }
    /// placeholder
    pub fn crossover(&mut self, one: &[u8], _other: &[u8], out: &mut [u8], _seed: u64) -> usize { let n = one.len().min(out.len()); out[..n].copy_from_slice(&one[..n]); n }
}
