//! Every rule id, with its section of docs/semantics.md and its kind.

use core::fmt;

/// What a rule states about a step. A step can have several rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleKind {
    /// The rule says how the reference decided the step. The harness counts how often the rule occurs.
    Outcome,
    /// The rule says why real mode must defer the step. The harness counts how often the rule occurs, and it is a
    /// finding if the subject did not defer.
    Reason,
    /// The rule is a promise that the subject broke, or for `HARNESS.FAULT` the harness. It appears only in findings.
    Finding,
}

macro_rules! rules {
    ($($variant:ident $id:literal $section:literal $kind:ident $meaning:literal;)*) => {
        /// A rule of docs/semantics.md, named by an id such as `MAP.NEW`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Rule {
            $(#[doc = concat!("`", $id, "`: ", $meaning, " (semantics ", $section, ").")] $variant,)*
        }

        impl Rule {
            /// All rules, in the order of the sections of docs/semantics.md.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The id of the rule as reports and docs/semantics.md write it, such as `MAP.NEW`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// The number of the section of docs/semantics.md that states the rule, such as `4`.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $(Self::$variant => $section,)* }
            }

            /// What the rule states about a step: an outcome, a reason to defer, or a finding.
            #[must_use]
            pub const fn kind(self) -> RuleKind {
                match self { $(Self::$variant => RuleKind::$kind,)* }
            }

            /// The meaning of the rule in a few words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

rules! {
    LookupBeyond "LOOKUP.BEYOND" "2" Outcome "the pfn is past what the memory model can name";
    LookupSplit "LOOKUP.SPLIT" "2" Outcome "the struct page straddles two blocks";
    LookupRemoved "LOOKUP.REMOVED" "2" Outcome "the block was backed once and is not now";
    LookupHole "LOOKUP.HOLE" "2" Outcome "the block was never backed";
    LookupHit "LOOKUP.HIT" "2" Outcome "the struct page has one real address";
    PageNone "PAGE.NONE" "3" Outcome "a probe of a page whose lookup gives no address";
    PageCompound "PAGE.COMPOUND" "3" Outcome "a probe of a head or tail, which is left alone";
    GetOk "GET.OK" "3" Outcome "get_page_unless_zero took a reference";
    GetZero "GET.ZERO" "3" Outcome "get_page_unless_zero found the count 0";
    PutOk "PUT.OK" "3" Outcome "put_page_unless_one gave a reference back";
    PutLast "PUT.LAST" "3" Outcome "put_page_unless_one found the last reference";
    HcallUnknown "HCALL.UNKNOWN" "4" Outcome "an opcode that is none of the four answers H_FUNCTION";
    LiobnUnknown "LIOBN.UNKNOWN" "4" Outcome "no window has that LIOBN";
    IobaAlign "IOBA.ALIGN" "4" Outcome "the IOBA is not a multiple of the window's page size";
    IobaRange "IOBA.RANGE" "4" Outcome "the IOBA, or an entry of the range, lies outside the window";
    CountStuff "COUNT.STUFF" "4" Outcome "STUFF's count is over its limit";
    CountIndirect "COUNT.INDIRECT" "4" Outcome "INDIRECT's count is over 512";
    CountZero "COUNT.ZERO" "4" Outcome "a count of 0 was decided";
    ListAlign "LIST.ALIGN" "4" Outcome "the list is not 4 KiB aligned";
    ListUnbacked "LIST.UNBACKED" "4" Outcome "the list is not guest memory, or lies in a hole of the host page table";
    StuffPerm "STUFF.PERM" "4" Outcome "STUFF's value has permission bits where the dialect refuses them";
    TceAlign "TCE.ALIGN" "4" Outcome "a TCE has bits set between its permissions and its page";
    TceUnbacked "TCE.UNBACKED" "4" Outcome "a TCE's page is not guest memory";
    TceFault "TCE.FAULT" "4" Outcome "a fault TCE was stored over a fault TCE";
    TceRead "TCE.READ" "4" Outcome "H_GET_TCE returned an entry";
    PinHardware "PIN.HARDWARE" "4" Outcome "the host cannot supply the page, or maps it read-only and the device may \
        write";
    MapNew "MAP.NEW" "4" Outcome "permissions were stored over a fault TCE";
    MapExchange "MAP.EXCHANGE" "4" Outcome "an entry was exchanged for one of another page";
    MapSame "MAP.SAME" "4" Outcome "an entry was exchanged for one of the same page";
    Unmap "UNMAP" "4" Outcome "a fault TCE was stored over permissions";
    DeferPte "DEFER.PTE" "5" Reason "a page table entry is absent, not young, or not dirty where the device may write";
    DeferLookup "DEFER.LOOKUP" "5" Reason "a struct page is split, real mode has no address of it";
    DeferCompound "DEFER.COMPOUND" "5" Reason "a page is compound";
    DeferLastRef "DEFER.LAST_REF" "5" Reason "the call drops the last reference of a page";
    HarnessFault "HARNESS.FAULT" "7" Finding "the harness contradicts itself: an impossible state; never the subject's \
        fault";
    RmFinalRelease "RM.FINAL_RELEASE" "7" Finding "real mode dropped a last reference or asked for a page to be freed";
    RmBadAccess "RM.BAD_ACCESS" "7" Finding "real mode touched what it cannot reach";
    RmAlloc "RM.ALLOC" "7" Finding "real mode asked for memory";
    RmBounded "RM.BOUNDED" "7" Finding "a real-mode call made more accesses than the subject's published bound";
    RefHeld "REF.HELD" "7" Finding "between two stores a page had fewer references than it has holders";
    RefUnderflow "REF.UNDERFLOW" "7" Finding "a hypercall took a count from 0 to -1";
    ListSnapshot "LIST.SNAPSHOT" "7" Finding "a list word was read twice, or after the first store to a table";
    MemStray "MEM.STRAY" "7" Finding "a store to memory that a handler may not write, such as a freed page, or an \
        access of virtual mode to memory of no region";
    SubjectCrash "SUBJECT.CRASH" "7" Finding "the implementation panicked, or its process died";
    SubjectHang "SUBJECT.HANG" "7" Finding "the implementation did not return";
    SubjectProtocol "SUBJECT.PROTOCOL" "7" Finding "the implementation answered what its interface does not allow";
    DeferClean "DEFER.CLEAN" "7" Finding "a deferred call left something changed";
    RmLazy "RM.LAZY" "7" Finding "real mode deferred what it must finish";
    DivergeStatus "DIVERGE.STATUS" "7" Finding "the statuses differ";
    DivergeR4 "DIVERGE.R4" "7" Finding "the values returned in r4 differ";
    DivergeTce "DIVERGE.TCE" "7" Finding "a guest value or hardware entry differs";
    DivergeCount "DIVERGE.COUNT" "7" Finding "a reference count differs";
    DivergeFlag "DIVERGE.FLAG" "7" Finding "page flags or the page table differ";
    DivergeLookup "DIVERGE.LOOKUP" "7" Finding "a lookup or probe answered otherwise";
    RefConserve "REF.CONSERVE" "7" Finding "a count on which subject and reference agree is not own + mappings + \
        hardware TCEs: not the subject's fault alone";
    RefLeak "REF.LEAK" "7" Finding "with everything closed and unmapped a count on which subject and reference agree \
        is not own: not the subject's fault alone";
}

impl Rule {
    /// The rule whose id is `id`, or `None` if no rule has this id. Ids are case-sensitive.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.id() == id)
    }

    /// Whether the harness counts how often the rule occurs: `true` for outcomes and for reasons to defer, `false` for
    /// findings.
    #[must_use]
    pub const fn is_outcome(self) -> bool {
        !matches!(self.kind(), RuleKind::Finding)
    }

    /// All rules whose occurrences the harness counts: outcomes and reasons to defer.
    pub fn outcomes() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|rule| rule.is_outcome())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A set of rules. Bit n, counted from 0 at the lowest bit, stands for the rule `Rule::ALL[n]`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleSet(u128);

const _: () = assert!(Rule::ALL.len() <= u128::BITS as usize, "RuleSet has a bit for every rule");

impl RuleSet {
    /// The set without any rule.
    pub const EMPTY: Self = Self(0);

    /// Adds `rule` to the set. Nothing happens if the set has the rule already.
    pub const fn insert(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u8;
    }

    /// Whether `rule` is in the set.
    #[must_use]
    pub const fn contains(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }

    /// The set without its reasons to defer, for a voter of which it is not known which half finished a call.
    #[must_use]
    pub fn without_reasons(self) -> Self {
        self.iter().filter(|rule| rule.kind() != RuleKind::Reason).collect()
    }

    /// The rules in the set, in the order of [`Rule::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Rule> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let index = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            Rule::ALL.get(index).copied()
        })
    }
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Rule> for RuleSet {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let mut set = Self::EMPTY;
        for rule in rules {
            set.insert(rule);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_a_bit_for_every_rule() {
        let all: RuleSet = Rule::ALL.iter().copied().collect();
        assert!(all.iter().eq(Rule::ALL.iter().copied()));
        for &rule in Rule::ALL {
            let one: RuleSet = [rule].into_iter().collect();
            assert!(one.iter().eq([rule]), "{rule}");
            assert!(Rule::ALL.iter().all(|&other| one.contains(other) == (other == rule)), "{rule}");
        }
        assert_eq!(RuleSet::EMPTY.iter().next(), None);
    }

    #[test]
    fn a_set_without_reasons_keeps_every_other_rule() {
        let all: RuleSet = Rule::ALL.iter().copied().collect();
        let left = all.without_reasons();
        for &rule in Rule::ALL {
            assert_eq!(left.contains(rule), rule.kind() != RuleKind::Reason, "{rule}");
        }
    }
}
