//! The two ends of a window of flow control (§8): what may still be sent, and what was granted to the peer.
//!
//! All arithmetic on credit is here, so that it cannot go below zero and cannot leak: a [`SendWindow`] side gives out only
//! what it has, a [`ReceiveWindow`] side notices a peer that takes more than it was given.

/// A grant or a use that breaks the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

/// What this side may still send, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct SendWindow {
    left: u32,
    /// All that was ever taken.
    taken: u64,
}

impl SendWindow {
    /// A window of this many bytes.
    pub fn new(bytes: u32) -> Self {
        Self { left: bytes, taken: 0 }
    }

    /// How many bytes may be sent.
    #[inline]
    pub fn left(self) -> u32 {
        self.left
    }

    /// Takes this many bytes, all or none; whether they were there.
    #[inline]
    pub fn take(&mut self, bytes: u32) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                self.taken += u64::from(bytes);
                true
            }
            None => false,
        }
    }

    /// All that was ever taken, in bytes.
    #[inline]
    pub fn taken(self) -> u64 {
        self.taken
    }

    /// Takes back what was taken last and not used.
    pub fn untake(&mut self, bytes: u32) {
        self.left = self.left.saturating_add(bytes);
        self.taken = self.taken.saturating_sub(u64::from(bytes));
    }

    /// Adds a grant.
    ///
    /// # Errors
    /// [`Overrun`] if the window would be above `u32::MAX`: no honest peer grants that.
    pub fn grant(&mut self, bytes: u32) -> Result<(), Overrun> {
        self.left = self.left.checked_add(bytes).ok_or(Overrun)?;
        Ok(())
    }
}

/// What the peer may still send, in bytes, and what it will be granted next.
///
/// At any time `left + taken + owed = window + lent`: whatever the peer was granted is still to come, is here and not
/// consumed, or will be granted again.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWindow {
    /// What the peer may still send.
    left: u32,
    /// What has come and has not been consumed.
    taken: u32,
    /// What has been consumed and not yet granted again.
    owed: u32,
    /// How much must be owed before a grant is worth a frame.
    batch: u32,
    /// What was granted beyond the window for one large message, and is not granted again.
    lent: u32,
}

/// What came of consuming bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// The grant that should be sent now.
    pub grant: Option<u32>,
    /// How much of what was lent is paid back.
    pub paid_back: u32,
}

impl ReceiveWindow {
    /// A window of this many bytes, granted again in steps of a quarter, and of 64 KiB at most: a sender that limits
    /// itself to 128 KiB unacknowledged (§8.5) must hear of each step in time.
    pub fn new(bytes: u32) -> Self {
        Self { left: bytes, taken: 0, owed: 0, lent: 0, batch: (bytes / 4).clamp(1, 64 * 1024) }
    }

    /// Notes that bytes have come.
    ///
    /// # Errors
    /// [`Overrun`] if the peer was not granted that many.
    #[inline]
    pub fn receive(&mut self, bytes: u32) -> Result<(), Overrun> {
        self.left = self.left.checked_sub(bytes).ok_or(Overrun)?;
        self.taken = self.taken.saturating_add(bytes);
        Ok(())
    }

    /// Notes that bytes have come and were consumed at once; whether so much is owed that it should be granted again, with
    /// [`flush`](Self::flush). Of a window of which nothing was lent.
    ///
    /// # Errors
    /// [`Overrun`] if the peer was not granted that many.
    #[inline]
    pub fn pass(&mut self, bytes: u32) -> Result<bool, Overrun> {
        self.left = self.left.checked_sub(bytes).ok_or(Overrun)?;
        self.owed = self.owed.saturating_add(bytes);
        Ok(self.owed >= self.batch)
    }

    /// Notes that bytes which came have been consumed; more than came cannot be.
    #[inline]
    pub fn consume(&mut self, bytes: u32) -> Consumed {
        let bytes = bytes.min(self.taken);
        self.taken -= bytes;
        let paid_back = bytes.min(self.lent);
        self.lent -= paid_back;
        self.owed = self.owed.saturating_add(bytes - paid_back);
        if self.owed < self.batch {
            return Consumed { grant: None, paid_back };
        }
        let grant = std::mem::take(&mut self.owed);
        self.left = self.left.saturating_add(grant);
        Consumed { grant: Some(grant), paid_back }
    }

    /// Grants at once what is owed, however little: for a peer that may need it to complete a message.
    pub fn flush(&mut self) -> Option<u32> {
        let grant = std::mem::take(&mut self.owed);
        self.left = self.left.saturating_add(grant);
        (grant > 0).then_some(grant)
    }

    /// Lends the peer what it needs beyond the window for a message of which `missing` bytes are still to come; gives
    /// the grant that should be sent, if any. What is lent is taken back as it is consumed.
    pub fn lend(&mut self, missing: u32) -> Option<u32> {
        let more = missing.saturating_sub(self.left);
        self.left += more;
        self.lent = self.lent.saturating_add(more);
        (more > 0).then_some(more)
    }

    /// What the peer may send at the moment.
    pub fn left(self) -> u32 {
        self.left
    }

    /// What has come and has not been consumed.
    pub fn taken(self) -> u32 {
        self.taken
    }

    /// What has been consumed and not yet granted again.
    pub fn owed(self) -> u32 {
        self.owed
    }

    /// What was granted beyond the window and is not paid back.
    pub fn lent(self) -> u32 {
        self.lent
    }
}
