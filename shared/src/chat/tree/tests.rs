//! Tests of a store in memory that follows the rules against the plain definition: a path is the parents of its last message.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

fn id(n: u64) -> Id {
    let mut random = [0; RANDOM_BYTES];
    random[2..].copy_from_slice(&n.to_be_bytes());
    Id::new(NOW, random)
}

#[derive(Clone, Debug)]
struct Node {
    id: Id,
    parent_id: Option<Id>,
    branch: Option<Id>,
    seq: u64,
}

/// The messages of one conversation.
#[derive(Default)]
struct Model {
    by_seq: BTreeMap<u64, Node>,
    forks: Forks,
    head: Position,
    loads: usize,
}

impl Model {
    fn find(&self, id: Id) -> Option<&Node> {
        self.by_seq.values().find(|node| node.id == id)
    }

    /// The place of a message, or the one that it would take before a child that arrived earlier.
    fn position(&self, of: Id) -> Option<Position> {
        let child = || {
            let mut children = self.by_seq.values().filter(|node| node.parent_id == Some(of));
            children.find(|node| node.branch != Some(node.id))
        };
        let at = |node: &Node| Position { branch: node.branch, seq: node.seq };
        let before = |node: &Node| Position { branch: node.branch, seq: node.seq - 1 };
        self.find(of).map(at).or_else(|| child().map(before))
    }

    fn of_branch(&self, branch: Option<Id>) -> impl DoubleEndedIterator<Item = &Node> {
        self.by_seq.values().filter(move |node| node.branch == branch)
    }

    /// Repeats `call` until it has every fork it needs, loading one at a time.
    fn with_forks<T>(&mut self, call: impl Fn(&Forks) -> Result<T, Id>) -> T {
        let mut loaded = Forks::new();
        loop {
            match call(&loaded) {
                Ok(value) => return value,
                Err(branch) => {
                    self.loads += 1;
                    assert!(loaded.insert(branch, self.forks[&branch]).is_none(), "loaded twice");
                }
            }
        }
    }

    fn insert(&mut self, id: Id, parent_id: Option<Id>, wanted: u64) -> Position {
        let parent = match parent_id {
            None => Some(Position::default()),
            Some(parent) => self.position(parent),
        };
        let branch = parent.unwrap_or(self.head).branch;
        let wanted = wanted.max(parent.map_or(0, |parent| parent.seq) + 1);
        let place = parent.map_or(wanted, |parent| parent.seq + 1);
        let around = Neighbours {
            previous: match parent {
                Some(_) => parent_id,
                None => self.of_branch(branch).rev().find(|node| node.seq < place).map(|node| node.id),
            },
            next: self
                .of_branch(branch)
                .find(|node| node.seq >= place)
                .map(|node| (node.seq, node.parent_id)),
            is_free: !self.by_seq.contains_key(&wanted),
        };
        let joint = join(parent_id, parent.is_some(), wanted, around);
        let last = self.by_seq.last_key_value().map_or(0, |(seq, _)| *seq);
        let seq = if around.is_free { wanted } else { last + 1 };
        let position = match joint {
            Joint::Append => {
                let end = self.of_branch(branch).next_back().map_or(0, |node| node.seq);
                Position { branch, seq: if seq > end { seq } else { last + 1 } }
            }
            Joint::Insert => Position { branch, seq: wanted },
            Joint::Fork => {
                let fork = self.with_forks(|forks| Fork::new(id, seq, parent.unwrap(), forks));
                self.forks.insert(id, fork);
                Position { branch: Some(id), seq }
            }
        };
        let Position { branch, seq } = position;
        assert!(self.by_seq.insert(seq, Node { id, parent_id, branch, seq }).is_none());
        position
    }

    /// The path to a place, by pages of so many.
    fn path(&mut self, head: Position, order: Order, limit: usize) -> Vec<Id> {
        let (mut path, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(head, order, after, limit);
            let Some(last) = page.last() else { return path };
            after = Some(last.seq);
            path.extend(page.iter().map(|node| node.id));
        }
    }

    fn page(&mut self, head: Position, order: Order, after: Option<u64>, limit: usize) -> Vec<Node> {
        let (mut page, mut next_after) = (Vec::new(), after);
        loop {
            let spans = self.with_forks(|forks| spans(head, order, next_after, forks));
            assert!(spans.items.len() <= SPANS_AT_ONCE + 1);
            for Span { branch, after, to } in spans.items {
                let nodes = self.of_branch(branch).filter(|node| node.seq > after && node.seq <= to);
                let mut nodes: Vec<_> = nodes.cloned().collect();
                if order == Order::Desc {
                    nodes.reverse();
                }
                page.extend(nodes);
            }
            if page.len() >= limit || spans.next_after.is_none() {
                page.truncate(limit);
                return page;
            }
            next_after = spans.next_after;
        }
    }

    /// The path by its definition.
    fn ancestors(&self, of: Id) -> Vec<Id> {
        let mut path: Vec<_> =
            std::iter::successors(self.find(of), |node| self.find(node.parent_id?)).collect();
        path.reverse();
        path.into_iter().map(|node| node.id).collect()
    }
}

/// A message that follows the one before it, or one before that.
#[derive(Clone, Copy, Debug)]
enum Step {
    Reply,
    Beside(prop::sample::Index),
    Root,
    Back(prop::sample::Index),
}

fn steps(max: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Reply),
        2 => any::<prop::sample::Index>().prop_map(Step::Beside),
        1 => Just(Step::Root),
        1 => any::<prop::sample::Index>().prop_map(Step::Back),
    ];
    prop::collection::vec(step, 1..max)
}

/// Takes steps, each of one message, and returns the head.
fn grown(steps: &[Step]) -> (Model, Id) {
    let mut model = Model::default();
    let mut head: Option<Id> = None;
    for (step, n) in steps.iter().zip(1..) {
        let any_of = |model: &Model, index: &prop::sample::Index| {
            (!model.by_seq.is_empty())
                .then(|| model.by_seq.values().nth(index.index(model.by_seq.len())).unwrap().clone())
        };
        let parent = match step {
            Step::Reply => head,
            Step::Root => None,
            Step::Beside(index) => any_of(&model, index).and_then(|node| node.parent_id),
            Step::Back(index) => any_of(&model, index).map(|node| node.id),
        };
        model.head = model.insert(id(n), parent, n);
        head = Some(id(n));
    }
    (model, head.unwrap())
}

proptest! {
    #[test]
    fn path_follows_parents_in_both_orders(steps in steps(60), limit in 1usize..9) {
        let (mut model, _) = grown(&steps);
        let nodes: Vec<_> = model.by_seq.values().cloned().collect();
        for node in nodes {
            let position = Position { branch: node.branch, seq: node.seq };
            let expected = model.ancestors(node.id);
            prop_assert_eq!(model.path(position, Order::Asc, limit), expected.clone());
            let mut down = model.path(position, Order::Desc, limit);
            down.reverse();
            prop_assert_eq!(down, expected);
        }
    }

    #[test]
    fn path_passes_its_messages_and_no_others(steps in steps(60)) {
        let (mut model, _) = grown(&steps);
        let nodes: Vec<_> = model.by_seq.values().cloned().collect();
        let at = |node: &Node| Position { branch: node.branch, seq: node.seq };
        for head in &nodes {
            let path = model.ancestors(head.id);
            for node in &nodes {
                let is_passed = model.with_forks(|forks| passes(at(head), at(node), forks));
                prop_assert_eq!(is_passed, path.contains(&node.id));
            }
        }
    }

    /// The turns of a conversation without forks, in any order of arrival.
    #[test]
    fn late_parents_stand_before_their_children(order in Just((0..12u64).collect::<Vec<_>>()).prop_shuffle()) {
        let mut model = Model::default();
        let mut head = Head::default();
        for turn in order {
            let parent = turn.checked_sub(1).map(|before| id(2 * before + 2));
            let question = model.insert(id(2 * turn + 1), parent, 2 * turn + 1);
            let answer = model.insert(id(2 * turn + 2), Some(id(2 * turn + 1)), 2 * turn + 2);
            prop_assert_eq!((question.branch, question.seq, answer.branch, answer.seq), (None, 2 * turn + 1, None, 2 * turn + 2));
            if head.follows(id(100 + turn), parent) {
                head = head.moved_by_turn(id(100 + turn), id(2 * turn + 2));
                model.head = answer;
            }
        }
        prop_assert_eq!(model.path(model.head, Order::Asc, 5), (1..=24).map(id).collect::<Vec<_>>());
        prop_assert_eq!(head.message_id, Some(id(24)));
    }

    /// Any order of arrival, with places that are taken: each message stands once, after its parent where that is present.
    #[test]
    fn missing_parents_lose_no_message(steps in steps(40), missing in prop::collection::vec(any::<bool>(), 40), shift in 0u64..3) {
        let mut model = Model::default();
        let mut last: Option<Id> = None;
        let mut inserted = 0;
        for ((step, n), is_missing) in steps.iter().zip(1..).zip(missing) {
            let parent = match step {
                Step::Beside(index) => Some(id(index.index(usize::try_from(n).unwrap()) as u64 + 1)),
                Step::Root => None,
                _ => last,
            };
            last = Some(id(n));
            if !is_missing && parent != last {
                let position = model.insert(id(n), parent, n.saturating_sub(shift));
                if let Some(parent) = parent.and_then(|parent| model.find(parent)) {
                    prop_assert!(parent.seq < position.seq);
                }
                let path = model.path(position, Order::Asc, 7);
                prop_assert_eq!(path.last(), Some(&id(n)));
                model.head = position;
                inserted += 1;
            }
        }
        prop_assert_eq!(model.by_seq.len(), inserted);
    }

    #[test]
    fn newest_intention_sets_head(turns in prop::collection::vec((0u64..50, any::<bool>()), 1..12)) {
        // Turns in any order, each perhaps twice: the newest one's message is the head.
        let mut head = Head::default();
        for (turn, twice) in &turns {
            for _ in 0..=u8::from(*twice) {
                if head.follows(id(*turn), Some(id(1_000))) {
                    head = head.moved_by_turn(id(*turn), id(500 + turn));
                }
            }
        }
        let newest = turns.iter().map(|(turn, _)| *turn).max().unwrap();
        prop_assert_eq!(head.message_id, Some(id(500 + newest)));
    }
}

#[test]
fn repeated_turn_keeps_chosen_head() {
    let before = Some(id(1));
    let head = Head { message_id: before, ..Head::default() };
    assert!(head.follows(id(7), before));
    let head = head.moved_by_turn(id(7), id(2));
    // Back to the head at the turn's start.
    let head = head.moved_by_user(NOW.plus_millis(5), id(1));
    assert!(!head.follows(id(7), before));
    assert!(
        head.follows(Id::new(NOW.plus_millis(6), [0; RANDOM_BYTES]), None),
        "a turn that began after that"
    );
    assert!(head.follows(id(8), before), "another one that goes on from there, whatever its clock says");
    assert!(!head.follows(id(8), Some(id(2))), "one that began under another head, before that");
}

#[test]
fn repeated_turn_of_fast_clock_keeps_chosen_head() {
    let turn = Id::new(NOW.plus_millis(60_000), [1; RANDOM_BYTES]);
    let head = Head::default().moved_by_turn(turn, id(2)).moved_by_user(NOW, id(1));
    assert_eq!((head.message_id, head.mark), (Some(id(1)), Some(turn)));
    assert!(!head.follows(turn, None));
}

/// A path of so many branches, with two messages each.
fn staircase(branches: u64) -> (Model, Position) {
    let mut model = Model::default();
    let mut at = model.insert(id(1), None, 1);
    let mut parent = id(1);
    for n in 1..branches {
        // Another answer to the same question, and then the one on the path.
        model.insert(id(10 * n), Some(parent), 0);
        at = model.insert(id(10 * n + 1), Some(parent), 0);
        parent = id(10 * n + 1);
    }
    (model, at)
}

#[test]
fn page_of_most_forked_path_takes_few_look_ups() {
    const BRANCHES: u64 = 1_000;
    const PAGE: usize = 20;
    let (mut model, head) = staircase(BRANCHES);
    let path = model.path(head, Order::Asc, 100);
    assert_eq!(path.len() as u64, BRANCHES);
    let last = model.by_seq.last_key_value().map_or(0, |(seq, _)| *seq);
    for order in [Order::Asc, Order::Desc] {
        for after in (0..=last).step_by(97) {
            model.loads = 0;
            let page = model.page(head, order, Some(after), PAGE);
            assert!(page.len() <= PAGE);
            // Three rounds of eight branches, and twice the logarithm to find each.
            assert!(
                model.loads <= 3 * (SPANS_AT_ONCE + 1 + 4 * 10),
                "{order:?} after {after}: {}",
                model.loads
            );
        }
    }
}

#[test]
fn path_without_fork_takes_no_look_up() {
    let mut model = Model::default();
    for n in 1..=100 {
        model.head = model.insert(id(n), (n > 1).then(|| id(n - 1)), n);
    }
    for order in [Order::Asc, Order::Desc] {
        let spans = spans(model.head, order, Some(50), &Forks::new()).unwrap();
        let (after, to) = if order == Order::Asc { (50, 100) } else { (0, 49) };
        assert_eq!(spans, Spans { items: vec![Span { branch: None, after, to }], next_after: None });
    }
    assert_eq!(model.loads, 0);
}
