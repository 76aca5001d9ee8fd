//! Tests of the programs in `corpora/`. Each program is a test of its own.

mod corpus;
mod dialects;

use libtest_mimic::Arguments;

fn main() {
    let mut tests = corpus::tests();
    tests.extend(dialects::tests());
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}
