//! How a target becomes a program: under libFuzzer, or, without the feature, by seeded chance for a few seconds.

/// Makes the program of a target from a function of bytes.
#[macro_export]
macro_rules! target {
    ($one:expr) => {
        #[cfg(feature = "libfuzzer")]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $one(data));

        #[cfg(not(feature = "libfuzzer"))]
        fn main() {
            $crate::by_chance($one);
        }
    };
}

/// Gives a target random bytes for as many seconds as the first argument says, five without one; the second is the
/// seed.
///
/// # Panics
/// If the target does; the seed and the round are printed before.
pub fn by_chance(one: impl Fn(&[u8])) {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let seconds = arguments.next().unwrap_or(5);
    let seed: u64 = arguments.next().unwrap_or(1);
    // SplitMix64 (Steele, Lea, Flood 2014): eight lines are cheaper than a dependency.
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let began = std::time::Instant::now();
    let mut rounds = 0_u64;
    while began.elapsed().as_secs() < seconds {
        let length = random() % 600;
        let data: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        let tell = Tell { seed, rounds };
        one(&data);
        std::mem::forget(tell);
        rounds += 1;
    }
    println!("{rounds} rounds in {seconds} s, seed {seed}");
}

/// Says where a panic happened.
struct Tell {
    seed: u64,
    rounds: u64,
}

impl Drop for Tell {
    fn drop(&mut self) {
        eprintln!("seed {}, round {}", self.seed, self.rounds);
    }
}
