//! The guest's machine code: the words that guest.s assembles to. A test assembles guest.s again and compares.

/// Offset, in bytes, at which QEMU enters a firmware image.
const ENTRY: usize = 0x100;

/// Code that switches the CPU to 64 bits and jumps to the monitor: section `.boot` of guest.s.
pub const BOOT: [u32; 7] = [0x38000001, 0x7800f802, 0x7c000164, 0x4c00012c, 0x3dc00f00, 0x7dc903a6, 0x4e800420];

/// Code that takes requests from the mailbox and writes the answers: section `.monitor` of guest.s.
#[rustfmt::skip]
pub const MONITOR: [u32; 58] = [
    0x3de00f40, 0x3e0000c0, 0x3a200001, 0xea4f0000, 0x7c328800, 0x4082fff8, 0x7c2004ac, 0xea4f0008,
    0x3a6f1000, 0x3e8f0008, 0x2c320000, 0x41820088, 0xfa4f0088, 0xe8730000, 0xe8930008, 0xe8b30010,
    0xe8d30018, 0xe8f30020, 0xe9130028, 0xe9330030, 0xe9530038, 0x2c2a0000, 0x40820074, 0x44000022,
    0xf8740000, 0xf8940008, 0xe9530010, 0x7d4a2a78, 0xe9730018, 0x7d6b3278, 0x7d4a5b78, 0xe9730020,
    0x7d6b3a78, 0x7d4a5b78, 0xe9730028, 0x7d6b4278, 0x7d4a5b78, 0xe9730030, 0x7d6b4a78, 0x7d4a5b78,
    0xf9540010, 0x3a730040, 0x3a940018, 0x3652ffff, 0x4082ff80, 0xfa4f0088, 0x7c2004ac, 0xfa2f0080,
    0x3a310001, 0x7def8278, 0x4bffff44, 0x7cc903a6, 0x38a5fff8, 0x3884fff8, 0xe9450009, 0xf9440009,
    0x4200fff8, 0x4bffffc0,
];

/// Returns the firmware image, which QEMU loads at real address 0.
pub(super) fn firmware() -> Vec<u8> {
    let mut image = vec![0; ENTRY];
    image.extend(bytes(&BOOT));
    image
}

/// Returns the bytes of these instructions, big-endian.
pub(super) fn bytes(words: &[u32]) -> impl Iterator<Item = u8> + '_ {
    words.iter().flat_map(|word| word.to_be_bytes())
}
