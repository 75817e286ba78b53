//! The two ends of a window of flow control (§8): what may still be sent, and what was granted to the peer.
//!
//! All arithmetic on credit is here, so that it cannot go below zero and cannot leak: a [`Send`] side gives out only
//! what it has, a [`Receive`] side notices a peer that takes more than it was given.

/// A grant or a use that breaks the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

/// What this side may still send, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct SendWindow {
    left: u32,
}

impl SendWindow {
    /// A window of this many bytes.
    pub fn new(bytes: u32) -> Self {
        Self { left: bytes }
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
                true
            }
            None => false,
        }
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
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWindow {
    /// What the peer may still send.
    left: u32,
    /// What has been consumed and not yet granted again.
    owed: u32,
    /// How much must be owed before a grant is worth a frame.
    batch: u32,
    /// What was granted beyond the window for one large message, and is not granted again.
    lent: u32,
}

impl ReceiveWindow {
    /// A window of this many bytes, granted again in steps of a quarter, and of 64 KiB at most: a sender that limits
    /// itself to 256 KiB unacknowledged (§8.5) must hear of each step in time.
    pub fn new(bytes: u32) -> Self {
        Self { left: bytes, owed: 0, lent: 0, batch: (bytes / 4).clamp(1, 64 * 1024) }
    }

    /// Notes that bytes have come.
    ///
    /// # Errors
    /// [`Overrun`] if the peer was not granted that many.
    #[inline]
    pub fn receive(&mut self, bytes: u32) -> Result<(), Overrun> {
        self.left = self.left.checked_sub(bytes).ok_or(Overrun)?;
        Ok(())
    }

    /// Notes that bytes have been consumed, and gives the grant that should be sent now, if any.
    #[inline]
    pub fn consume(&mut self, bytes: u32) -> Option<u32> {
        let paid_back = bytes.min(self.lent);
        self.lent -= paid_back;
        self.owed = self.owed.saturating_add(bytes - paid_back);
        if self.owed < self.batch {
            return None;
        }
        let grant = std::mem::take(&mut self.owed);
        self.left = self.left.saturating_add(grant);
        Some(grant)
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

    /// What has been consumed and not yet granted again.
    pub fn owed(self) -> u32 {
        self.owed
    }
}
