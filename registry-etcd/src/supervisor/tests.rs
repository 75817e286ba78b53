//! The supervisor against a model of etcd that loses answers, delays requests, deletes keys and forgets leases, on a clock
//! that the test moves.

use super::*;
use rpc_core::discovery::Instance;

const TTL: Duration = Duration::from_secs(9);

/// What etcd does, as far as it matters here.
#[derive(Default)]
struct Model {
    revision: i64,
    next_lease: i64,
    keys: BTreeMap<String, Found>,
    leases: BTreeMap<i64, Instant>,
    /// Requests that were not answered and are still under way.
    late: Vec<Action>,
}

/// How a request goes.
#[derive(Clone, Copy, PartialEq)]
enum Luck {
    Good,
    /// It is lost.
    Lost,
    /// It is carried out, and the answer lost.
    Unanswered,
    /// It is carried out at some later time, and not answered.
    Late,
}

impl Model {
    fn expire(&mut self, now: Instant) {
        self.leases.retain(|_, until| *until > now);
        self.keys.retain(|_, found| found.lease == 0 || self.leases.contains_key(&found.lease));
    }

    fn change(&mut self, key: &str, expected: i64, value: Option<(&str, i64)>) -> Result<Outcome, Failure> {
        if value.is_some_and(|(_, lease)| !self.leases.contains_key(&lease)) {
            return Err(Failure::LeaseGone);
        }
        let found = self.keys.get(key);
        if found.map_or(0, |found| found.revision) != expected {
            return Ok(Outcome::Found(found.cloned()));
        }
        self.revision += 1;
        match value {
            Some((value, lease)) => {
                let found = Found { revision: self.revision, lease, value: value.as_bytes().to_vec() };
                self.keys.insert(key.to_owned(), found);
            }
            None => {
                let gone = self.keys.remove(key);
                let mine =
                    gone.is_none_or(|gone| Record::from_json(&gone.value).is_ok_and(|one| one.epoch == 7));
                assert!(mine, "{key} was another process's");
            }
        }
        Ok(Outcome::Done(self.revision))
    }

    /// What this process has at the key.
    fn mine(&self, key: &str) -> Option<Record> {
        Record::from_json(&self.keys.get(key)?.value).ok().filter(|record| record.epoch == 7)
    }

    /// Carries out a request that nobody waits for any more.
    fn carry_out(&mut self, action: &Action, now: Instant) {
        match action {
            Action::Put { key, value, lease, expected, .. } => {
                let _ = self.change(key, *expected, Some((value, *lease)));
            }
            Action::Remove { key, expected, .. } => {
                let _ = self.change(key, *expected, None);
            }
            Action::Renew { lease, .. } => {
                if let Some(until) = self.leases.get_mut(lease) {
                    *until = now + TTL;
                }
            }
            Action::Revoke(lease) => {
                self.leases.remove(lease);
                self.expire(now);
            }
            Action::Grant => drop(self.grant(now)),
            Action::Verify(_) | Action::Wait(_) | Action::End => {}
        }
    }

    fn grant(&mut self, now: Instant) -> i64 {
        self.next_lease += 1;
        self.leases.insert(self.next_lease, now + TTL);
        self.next_lease
    }

    /// Does what the supervisor says, and reports.
    fn act(&mut self, supervisor: &mut Supervisor, action: Action, now: Instant, luck: Luck) {
        if luck != Luck::Good {
            let (key, doubt) = match &action {
                Action::Put { key, lease, .. } => (Some(key.as_str()), Some(*lease)),
                Action::Remove { key, .. } => (Some(key.as_str()), None),
                _ => (None, None),
            };
            supervisor.failed(now, key, doubt, &Failure::Unreachable("bad luck".to_owned()));
            match luck {
                Luck::Unanswered => self.carry_out(&action, now),
                Luck::Late => self.late.push(action),
                Luck::Good | Luck::Lost => {}
            }
            return;
        }
        match action {
            Action::Grant => {
                let lease = self.grant(now);
                supervisor.granted(now, lease, TTL);
            }
            Action::Renew { lease, .. } if self.leases.contains_key(&lease) => {
                self.leases.insert(lease, now + TTL);
                supervisor.renewed(now, lease);
            }
            Action::Renew { lease, .. } => supervisor.lease_gone(lease),
            Action::Put { key, value, version, lease, expected } => {
                match self.change(&key, expected, Some((&value, lease))) {
                    Ok(outcome) => supervisor.put(&key, version, lease, outcome),
                    Err(_) => supervisor.lease_gone(lease),
                }
            }
            Action::Remove { key, expected, lease } => {
                // The goodbye needs the lease.
                match lease.filter(|lease| !self.leases.contains_key(lease)) {
                    Some(lease) => supervisor.lease_gone(lease),
                    None => supervisor.removed(&key, self.change(&key, expected, None).unwrap()),
                }
            }
            Action::Verify(keys) => {
                let found = keys.into_iter().map(|key| (key.clone(), self.keys.get(&key).cloned())).collect();
                supervisor.verified(found);
            }
            Action::Revoke(lease) => {
                self.carry_out(&Action::Revoke(lease), now);
                supervisor.revoked(lease);
            }
            Action::Wait(_) | Action::End => {}
        }
    }
}

fn record(id: &str, weight: u32, started: u64, epoch: u64) -> Record {
    let instance =
        Instance::new("h:1".parse().unwrap()).with_id(id).with_weight(weight).with_started(started);
    Record { instance, epoch }
}

fn supervisor() -> Supervisor {
    Supervisor::new(7, TTL / 2, Arc::new(Counters::default()))
}

fn register(supervisor: &mut Supervisor, key: &str, weight: u32) -> oneshot::Receiver<Result<(), Status>> {
    let (waiter, registered) = oneshot::channel();
    supervisor.register(key.to_owned(), record(key, weight, 5, 7), waiter);
    registered
}

fn withdraw(supervisor: &mut Supervisor, key: &str) -> oneshot::Receiver<Result<(), Status>> {
    let (waiter, withdrawn) = oneshot::channel();
    supervisor.withdraw(key, waiter);
    withdrawn
}

/// Lets all go well for this long, and gives the time after that.
fn go(supervisor: &mut Supervisor, model: &mut Model, from: Instant, span: Duration) -> Instant {
    let mut now = from;
    while now < from + span {
        model.expire(now);
        match supervisor.next(now) {
            Action::Wait(until) => now = until.unwrap_or(from + span).min(from + span),
            Action::End => break,
            action => {
                model.act(supervisor, action, now, Luck::Good);
                now += Duration::from_millis(1);
            }
        }
    }
    model.expire(now);
    now
}

#[test]
fn it_grants_puts_renews_and_verifies_in_this_order() {
    let (mut supervisor, mut model) = (supervisor(), Model::default());
    let begin = Instant::now();
    assert_eq!(supervisor.next(begin), Action::Wait(None), "no lease for nothing");
    let mut registered = register(&mut supervisor, "a", 1);
    let mut seen = Vec::new();
    let mut now = begin;
    while now < begin + TTL * 2 {
        match supervisor.next(now) {
            Action::Wait(until) => now = until.unwrap(),
            action => {
                seen.push(
                    format!("{action:?}").chars().take_while(|c| c.is_alphabetic()).collect::<String>(),
                );
                model.act(&mut supervisor, action, now, Luck::Good);
            }
        }
    }
    assert_eq!(seen[..4], ["Grant", "Put", "Renew", "Verify"], "{seen:?}");
    let count = |what: &str| seen.iter().filter(|one| *one == what).count();
    assert_eq!((count("Grant"), count("Put")), (1, 1), "{seen:?}");
    assert!((5..=6).contains(&count("Renew")) && (3..=4).contains(&count("Verify")), "{seen:?}");
    registered.try_recv().unwrap().unwrap();
}

#[test]
fn a_withdrawal_waits_for_the_lease_of_a_put_in_doubt_and_the_others_move_first() {
    let (mut supervisor, mut model) = (supervisor(), Model::default());
    let mut now = Instant::now();
    let _other = register(&mut supervisor, "other", 1);
    now = go(&mut supervisor, &mut model, now, Duration::from_secs(1));
    let _registering = register(&mut supervisor, "a", 1);
    let put = supervisor.next(now);
    assert!(matches!(&put, Action::Put { key, lease: 1, expected: 0, .. } if key == "a"), "{put:?}");
    model.act(&mut supervisor, put, now, Luck::Late);
    let mut withdrawn = withdraw(&mut supervisor, "a");
    let mut moved = false;
    while withdrawn.try_recv().is_err() {
        match supervisor.next(now) {
            Action::Wait(until) => now = until.unwrap(),
            action => {
                if matches!(action, Action::Revoke(1)) {
                    moved = model.keys["other"].lease == 2;
                }
                model.act(&mut supervisor, action, now, Luck::Good);
            }
        }
        assert!(model.keys.contains_key("other"), "nobody else is away for a moment");
    }
    assert!(moved);
    let late = std::mem::take(&mut model.late);
    model.carry_out(&late[0], now);
    assert!(!model.keys.contains_key("a"), "it came back");
}

#[test]
fn what_is_another_process_s_is_left_alone_if_that_one_started_later() {
    let (mut supervisor, mut model) = (supervisor(), Model::default());
    let now = Instant::now();
    let place = |model: &mut Model, started| {
        model.revision += 1;
        let value = record("a", 1, started, 99).to_json().into_bytes();
        model.keys.insert("a".to_owned(), Found { revision: model.revision, lease: 0, value });
    };
    place(&mut model, 9);
    let mut registered = register(&mut supervisor, "a", 1);
    let now = go(&mut supervisor, &mut model, now, Duration::from_secs(20));
    assert_eq!(registered.try_recv().unwrap().unwrap_err().code(), rpc_core::Code::AlreadyExists);
    assert_eq!(model.keys["a"].lease, 0);
    assert_eq!(supervisor.stats(now).contested, 1);
    // Withdrawing takes nothing away.
    let mut withdrawn = withdraw(&mut supervisor, "a");
    let now = go(&mut supervisor, &mut model, now, Duration::from_secs(1));
    withdrawn.try_recv().unwrap().unwrap();
    assert!(model.keys.contains_key("a"));
    // An earlier one is replaced.
    place(&mut model, 1);
    let mut registered = register(&mut supervisor, "a", 1);
    go(&mut supervisor, &mut model, now, Duration::from_secs(1));
    registered.try_recv().unwrap().unwrap();
    assert_ne!(model.keys["a"].lease, 0);
}

#[test]
fn a_process_that_slept_gets_another_lease() {
    let (mut supervisor, mut model) = (supervisor(), Model::default());
    let _registered = register(&mut supervisor, "a", 1);
    let now = go(&mut supervisor, &mut model, Instant::now(), Duration::from_secs(1));
    let now = go(&mut supervisor, &mut model, now + TTL * 3, Duration::from_secs(1));
    assert_eq!(model.keys["a"].lease, 2);
    let stats = supervisor.stats(now);
    assert_eq!((stats.losses, stats.registered, model.leases.len()), (1, 1, 1), "{stats:?}");
}

#[test]
fn what_is_refused_is_told_and_holds_up_nobody_else() {
    let (mut supervisor, mut model) = (supervisor(), Model::default());
    let mut now = Instant::now();
    let mut refused = register(&mut supervisor, "a", 1);
    let mut taken = register(&mut supervisor, "b", 1);
    let end = now + Duration::from_secs(30);
    let mut tries = 0;
    while now < end {
        match supervisor.next(now) {
            Action::Wait(until) => now = until.unwrap(),
            Action::Put { key, .. } if key == "a" => {
                tries += 1;
                let failure = Failure::Refused(rpc_core::Code::PermissionDenied, "not you".to_owned());
                supervisor.failed(now, Some("a"), None, &failure);
            }
            action => model.act(&mut supervisor, action, now, Luck::Good),
        }
    }
    assert_eq!(refused.try_recv().unwrap().unwrap_err().code(), rpc_core::Code::PermissionDenied);
    taken.try_recv().unwrap().unwrap();
    assert!((5..=8).contains(&tries), "{tries}");
}

#[test]
fn closing_withdraws_everything_and_gives_the_lease_back() {
    let (mut supervisor, mut model) = (supervisor(), Model::default());
    let _waiting: Vec<_> = ["a", "b"].map(|key| register(&mut supervisor, key, 1)).into();
    let now = go(&mut supervisor, &mut model, Instant::now(), Duration::from_secs(1));
    supervisor.close();
    let now = go(&mut supervisor, &mut model, now, Duration::from_secs(1));
    assert_eq!((supervisor.next(now), supervisor.left()), (Action::End, 0));
    assert!(model.keys.is_empty() && model.leases.is_empty());
    let mut late = register(&mut supervisor, "c", 1);
    assert!(late.try_recv().unwrap().is_err());
}

/// Whatever happens: what was withdrawn does not come back, and in the end everything is as it was asked for.
#[test]
fn it_holds_through_every_kind_of_bad_luck() {
    const KEYS: [&str; 3] = ["a", "b", "c"];
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut supervisor, mut model) = (supervisor(), Model::default());
        let mut now = Instant::now();
        // The weight that each shall have, if it shall be there; and a withdrawal that has not resolved yet.
        let mut wanted: BTreeMap<&str, u32> = BTreeMap::new();
        let mut withdrawing: BTreeMap<&str, oneshot::Receiver<Result<(), Status>>> = BTreeMap::new();
        let mut away: BTreeSet<&str> = KEYS.into();
        for step in 0..400_u32 {
            model.expire(now);
            let action = supervisor.next(now);
            // While that is under way:
            let key = KEYS[random.usize(..KEYS.len())];
            match random.u32(..40) {
                0..4 => {
                    drop(register(&mut supervisor, key, step));
                    wanted.insert(key, step);
                    withdrawing.remove(key);
                    away.remove(key);
                }
                4..7 => {
                    withdrawing.insert(key, withdraw(&mut supervisor, key));
                    wanted.remove(key);
                }
                7 => drop(model.keys.remove(key)),
                8 => drop(model.leases.pop_first()),
                9 => {
                    // All data is lost.
                    model.keys.clear();
                    model.leases.clear();
                }
                10 => now += TTL * random.u32(1..3) / 2,
                11..16 if !model.late.is_empty() => {
                    let late = model.late.swap_remove(random.usize(..model.late.len()));
                    model.carry_out(&late, now);
                }
                16 => {
                    // Another process, which started earlier, writes over it.
                    model.revision += 1;
                    let value = record(key, 1, 1, 99).to_json().into_bytes();
                    model.keys.insert(key.to_owned(), Found { revision: model.revision, lease: 0, value });
                }
                _ => {}
            }
            model.expire(now);
            match action {
                Action::Wait(Some(until)) => now = until.clamp(now, now + Duration::from_secs(1)),
                Action::Wait(None) => now += Duration::from_millis(100),
                action => {
                    let luck = match random.u32(..10) {
                        0 => Luck::Lost,
                        1 => Luck::Unanswered,
                        2 => Luck::Late,
                        _ => Luck::Good,
                    };
                    model.act(&mut supervisor, action, now, luck);
                }
            }
            for key in KEYS {
                if withdrawing.get_mut(key).is_some_and(|waiting| matches!(waiting.try_recv(), Ok(Ok(())))) {
                    withdrawing.remove(key);
                    away.insert(key);
                }
                let there = model.mine(key).is_some();
                assert!(!there || !away.contains(key), "seed {seed}, step {step}: {key} came back");
            }
        }
        let now = go(&mut supervisor, &mut model, now, TTL * 2);
        for late in std::mem::take(&mut model.late) {
            model.carry_out(&late, now);
        }
        // What came late after all is found by the next look.
        go(&mut supervisor, &mut model, now, TTL * 2);
        let there: BTreeMap<&str, u32> =
            KEYS.iter().filter_map(|key| Some((*key, model.mine(key)?.instance.weight))).collect();
        assert_eq!(there, wanted, "seed {seed}");
        assert!(
            withdrawing.values_mut().all(|waiting| matches!(waiting.try_recv(), Ok(Ok(())))),
            "seed {seed}"
        );
        assert_eq!(model.leases.len(), usize::from(!wanted.is_empty()), "seed {seed}: one lease or none");
    }
}
