/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The interface between realmode-diff and an implementation in C of real-mode TCE handling: pfn to page, conditional
 * references, and H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT and H_STUFF_TCE. docs/semantics.md has the rules,
 * docs/bring-your-own.md the first steps, and examples/c/ a whole implementation.
 *
 * A library exports one function,
 *
 *     const struct rm_implementation *realmode_implementation(void);
 *
 * and is run with `realmode fuzz --subject ./libmine.so`. Compile it with -fPIC -fexceptions: the harness ends a
 * handler that hangs by unwinding its frames.
 *
 * `REALMODE_WRITE=1 cargo test --test header` writes this file from abi/src/header.rs, and a test compares the two.
 */
