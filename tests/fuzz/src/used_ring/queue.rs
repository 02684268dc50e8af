//! One queue by itself: driver and device in turns as the input says, against the model.

use crate::input::Input;
use crate::memory::{Memory, SHIFTS};
use crate::model::{Chain, Model};
use crate::rings::Rings;
use abi::BusAddr;
use services::io::virtqueue::{Buffer, Direction, Notification, QueueError, Virtqueue};

/// Honest round trips of one operation, which take the indices away from their start.
const ROUNDS: u16 = 300;
/// Most operations of a case that are that long, so that it ends soon.
const LONG_OPERATIONS: u32 = 2;
const BUFFER: u64 = 0xffff_8000_1000;

/// A queue and what is known of it.
struct Case {
    shift: usize,
    notification: Notification,
    queue: Virtqueue<Memory>,
    rings: Rings,
    model: Model,
    long_operations: u32,
}

/// Plays one input, of which the first byte has been taken.
pub(crate) fn run(settings: u8, mut input: Input<'_>) -> Option<()> {
    let notification = if settings & 0x40 == 0 { Notification::EventIndex } else { Notification::Flag };
    let is_patient = settings & 0x20 != 0;
    let mut case = Case::new(usize::from(settings & 0xf) % SHIFTS, notification);
    while let Some(operation) = input.u8() {
        let outcome = case.operate(operation, &mut input)?;
        // A patient driver goes on after an error: the queue may be useless then, but never dangerous.
        if matches!(outcome, Err(QueueError::IndexJump | QueueError::NotInFlight)) && !is_patient {
            case.reset();
        }
        case.check();
    }
    case.rings.memory.check();
    Some(())
}

impl Case {
    fn new(shift: usize, notification: Notification) -> Self {
        let memory = Memory::zeroed(shift);
        let queue = Virtqueue::new(memory, 1 << shift, notification).expect("size and memory are right");
        let rings = Rings::new(memory, queue.size(), &queue.addresses());
        Self { shift, notification, queue, rings, model: Model::default(), long_operations: 0 }
    }

    /// Makes the rings anew, as the driver of a device does that it has reset, and shows that they serve.
    fn reset(&mut self) {
        let long_operations = self.long_operations;
        *self = Self::new(self.shift, self.notification);
        self.long_operations = long_operations;
        if self.begins_long_operation() {
            self.serve();
        }
    }

    /// Does what the next bytes say; `None` at the end of the input.
    fn operate(&mut self, operation: u8, input: &mut Input<'_>) -> Option<Result<(), QueueError>> {
        match operation % 16 {
            0 | 1 => self.add(&chain(input)?),
            2 => self.publish(),
            3 => return Some(self.pop()),
            4 => return Some(self.look()),
            5 => return Some(self.enable_interrupts()),
            6 => self.suppress_interrupts(),
            7 => self.finish(input)?,
            8 => self.rings.finish(input.u32()?, input.u32()?),
            9 => self.rings.set_used_index(input.u16()?),
            10 => self.rings.set_used_index(self.rings.used_index().wrapping_add(u16::from(input.u8()?))),
            11 => self.rings.set_available_event(input.u16()?),
            12 => self.rings.set_used_flags(input.u16()?),
            13 => self.rings.set_used_entry(u16::from(input.u8()?), input.u32()?, input.u32()?),
            14 => self.scribble(input)?,
            _ => self.go_round_or_reset(input.u8()?),
        }
        Some(Ok(()))
    }

    fn add(&mut self, buffers: &[Buffer]) {
        let free = self.queue.free();
        let token = self.model.new_token();
        let expected = match buffers.len() {
            0 => Err(QueueError::EmptyChain),
            count if count > free => Err(QueueError::Full),
            _ => Ok(()),
        };
        assert_eq!(self.queue.add(buffers, token), expected);
        if expected.is_err() {
            return;
        }
        let head = self.rings.available_entry(self.model.available);
        let (descriptors, shown): (Vec<u16>, Vec<Buffer>) = self.rings.chain(head).into_iter().unzip();
        assert_eq!(shown, buffers, "the device is shown what was added");
        let written = buffers.iter().filter(|buffer| buffer.direction == Direction::FromDevice);
        let writable = written.fold(0, |sum: u32, buffer| sum.saturating_add(buffer.length));
        self.model.add(head, Chain { token, writable, descriptors });
    }

    fn publish(&mut self) {
        let has_news = self.model.has_news();
        let expected = self.model.publish(&self.rings, self.notification);
        assert_eq!(self.queue.publish(), expected);
        assert!(!has_news || self.rings.available_index() == self.model.available);
    }

    fn pop(&mut self) -> Result<(), QueueError> {
        let expected = self.model.pop(&self.rings);
        assert_eq!(self.queue.pop(), expected);
        expected.map(|_| ())
    }

    fn look(&mut self) -> Result<(), QueueError> {
        let expected = self.model.look(&self.rings);
        assert_eq!(self.queue.has_completions(), expected);
        expected.map(|_| ())
    }

    fn enable_interrupts(&mut self) -> Result<(), QueueError> {
        let expected = self.model.look(&self.rings);
        assert_eq!(self.queue.enable_interrupts(), expected);
        match self.notification {
            Notification::Flag => assert_eq!(self.rings.available_flags(), 0),
            Notification::EventIndex => assert_eq!(self.rings.used_event(), self.model.used_seen),
        }
        expected.map(|_| ())
    }

    fn suppress_interrupts(&mut self) {
        self.queue.suppress_interrupts();
        match self.notification {
            Notification::Flag => assert_eq!(self.rings.available_flags(), 1),
            Notification::EventIndex => {
                assert_eq!(self.rings.used_event(), self.model.used_seen.wrapping_sub(1));
            }
        }
    }

    /// Gives one of the chains in flight back, with a length near what it holds.
    fn finish(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (which, length) = (input.u8()?, input.u8()?);
        let count = self.model.chains.len().max(1);
        let chain = self.model.chains.iter().nth(usize::from(which) % count);
        if let Some((&head, chain)) = chain {
            let written = match length {
                0..=127 => chain.writable.min(u32::from(length)),
                128..=191 => chain.writable,
                _ => chain.writable.saturating_add(u32::from(length - 191)),
            };
            self.rings.finish(u32::from(head), written);
        }
        Some(())
    }

    /// The device may write where only the driver should.
    fn scribble(&mut self, input: &mut Input<'_>) -> Option<()> {
        let offset = usize::from(input.u16()?) % self.rings.memory.bytes();
        self.rings.memory.write(offset, input.u8()?);
        Some(())
    }

    fn go_round_or_reset(&mut self, choice: u8) {
        if choice.is_multiple_of(2) || !self.model.chains.is_empty() {
            self.reset();
            return;
        }
        if !self.begins_long_operation() {
            return;
        }
        self.rings.set_used_index(self.model.used_seen);
        for _ in 0..ROUNDS {
            self.add(&[Buffer { bus: BusAddr(BUFFER), length: 64, direction: Direction::FromDevice }]);
            self.publish();
            self.finish_all();
        }
    }

    fn begins_long_operation(&mut self) -> bool {
        self.long_operations += 1;
        self.long_operations <= LONG_OPERATIONS
    }

    /// Fills an empty queue, and takes everything back from a device that keeps the rules.
    fn serve(&mut self) {
        for _ in 0..self.queue.size() {
            self.add(&[Buffer { bus: BusAddr(BUFFER), length: 64, direction: Direction::FromDevice }]);
        }
        assert_eq!(self.queue.free(), 0);
        self.publish();
        assert_eq!(self.rings.available_index(), self.queue.size(), "the device sees everything");
        self.finish_all();
    }

    fn finish_all(&mut self) {
        let heads: Vec<u16> = self.model.chains.keys().copied().collect();
        for head in heads.iter().rev() {
            self.rings.finish(u32::from(*head), 60);
        }
        for _ in heads {
            assert_eq!(self.pop(), Ok(()));
        }
        assert!(self.model.chains.is_empty(), "service goes on after a reset");
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.queue.in_flight(), self.model.chains.len());
        assert_eq!(self.queue.free() + self.model.descriptors(), usize::from(self.queue.size()));
    }
}

/// Reads a chain of up to seven buffers.
fn chain(input: &mut Input<'_>) -> Option<Vec<Buffer>> {
    let (count, directions) = (input.u8()? % 8, input.u8()?);
    let buffer = |position| {
        let length = match input.u8()? {
            255 => u32::MAX,
            254 => u32::from(input.u16()?),
            length => u32::from(length),
        };
        let writes = directions >> position & 1 == 0;
        let direction = if writes { Direction::FromDevice } else { Direction::ToDevice };
        Some(Buffer { bus: BusAddr(BUFFER + u64::from(position) * 0x1_0001), length, direction })
    };
    (0..count).map(buffer).collect()
}
