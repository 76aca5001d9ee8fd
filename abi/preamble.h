/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The interface between realmode-diff and an implementation in C of real-mode TCE handling: pfn to page, conditional references, and
 * H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE. What is promised stands in docs/semantics.md, how to begin in
 * docs/bring-your-own.md, and a whole implementation in examples/c/.
 *
 * A library exports one function,
 *
 *     const struct rm_implementation *realmode_implementation(void);
 *
 * and is run with `realmode fuzz --subject ./libmine.so`. Compile with -fPIC -fexceptions: a handler that makes no end is left by
 * unwinding.
 *
 * Written from abi/src/header.rs; a test compares them.
 */
