//! [`Etcd`]: one member, as a process that can be killed, stopped, wiped and restored; [`Cluster`]: three of them.

use std::fs::File;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tempfile::TempDir;

use super::{Proxy, ms, secs};

const HINT: &str = "the tests of registry-etcd need etcd: apt-get install etcd-server etcd-client";

/// One member of a cluster. It is killed when this is dropped.
pub(crate) struct Etcd {
    name: String,
    client: String,
    peer: String,
    advertised: String,
    initial: String,
    token: String,
    timing: [&'static str; 2],
    /// More arguments.
    extra: Vec<String>,
    /// More arguments for `etcdctl`.
    ctl: Vec<String>,
    scheme: &'static str,
    folder: TempDir,
    /// The data; another one after a restore.
    data: String,
    child: Option<Child>,
}

/// A folder in memory where there is one: what is tested is not the disk.
fn folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// An address that nobody else has, neither another test nor another process: all of 127/8 is this machine.
fn host() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", 100 + pid / 250 % 100, 1 + pid % 250, count)
}

impl Etcd {
    fn new(name: &str, timing: [&'static str; 2]) -> Self {
        let host = host();
        let peer = format!("{host}:2380");
        Self {
            name: name.to_owned(),
            client: format!("{host}:2379"),
            advertised: peer.clone(),
            initial: format!("{name}=http://{peer}"),
            token: format!("test-{host}"),
            peer,
            timing,
            extra: Vec::new(),
            ctl: Vec::new(),
            scheme: "http",
            folder: folder(),
            data: "data".to_owned(),
            child: None,
        }
    }

    /// A cluster of one.
    pub(crate) async fn start() -> Self {
        let mut etcd = Self::new("one", ["50", "500"]);
        etcd.run().await;
        etcd
    }

    /// A cluster of one, with more arguments.
    pub(crate) async fn start_with(extra: &[&str]) -> Self {
        let mut etcd = Self::new("one", ["50", "500"]);
        etcd.extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
        etcd.run().await;
        etcd
    }

    /// A cluster of one that speaks TLS only, and wants a certificate from its clients. The folder has `ca.pem`,
    /// `cert.pem` and `key.pem`, which serve both sides.
    #[cfg(feature = "tls")]
    pub(crate) async fn start_with_tls() -> (Self, TempDir) {
        let mut etcd = Self::new("one", ["50", "500"]);
        let certificates = folder();
        let host = etcd.client.split(':').next().unwrap();
        std::fs::write(certificates.path().join("names"), format!("subjectAltName=IP:{host}\n")).unwrap();
        let script = "set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \
                -keyout ca-key.pem -out ca.pem
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=member \
                -keyout key.pem -out request.pem
            openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 \
                -extfile names -out cert.pem";
        let made = Command::new("sh").args(["-c", script]).current_dir(&certificates).output().unwrap();
        assert!(made.status.success(), "this test needs openssl: {}", String::from_utf8_lossy(&made.stderr));
        let path = |name: &str| certificates.path().join(name).to_str().unwrap().to_owned();
        etcd.scheme = "https";
        etcd.extra = vec![
            "--cert-file".to_owned(),
            path("cert.pem"),
            "--key-file".to_owned(),
            path("key.pem"),
            "--trusted-ca-file".to_owned(),
            path("ca.pem"),
            "--client-cert-auth".to_owned(),
        ];
        etcd.ctl = vec![
            "--cacert".to_owned(),
            path("ca.pem"),
            "--cert".to_owned(),
            path("cert.pem"),
            "--key".to_owned(),
            path("key.pem"),
        ];
        etcd.run().await;
        (etcd, certificates)
    }

    /// What a client connects to.
    pub(crate) fn endpoint(&self) -> String {
        self.client.clone()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let [heartbeat, election] = self.timing;
        let url = |address: &str| format!("http://{address}");
        let client = format!("{}://{}", self.scheme, self.client);
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let spawned = Command::new("etcd")
            .args(["--name", &self.name, "--data-dir", &self.path(&self.data)])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &url(&self.peer)])
            .args(["--initial-advertise-peer-urls", &url(&self.advertised)])
            .args(["--initial-cluster", &self.initial, "--initial-cluster-token", &self.token])
            .args(["--heartbeat-interval", heartbeat, "--election-timeout", election])
            .args(["--log-level", "warn", "--logger", "zap"])
            .args(&self.extra)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = match spawned {
            Ok(child) => Some(child),
            Err(error) if error.kind() == io::ErrorKind::NotFound => panic!("{HINT}"),
            Err(error) => panic!("etcd does not start: {error}"),
        };
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        self.spawn();
        self.until_healthy().await;
    }

    pub(crate) async fn until_healthy(&mut self) {
        let began = Instant::now();
        while !self.try_ctl(&["endpoint", "health"]).await {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("etcd ended with {status}: {}", std::fs::read_to_string(self.path("log")).unwrap());
            }
            assert!(began.elapsed() < secs(30), "{}", std::fs::read_to_string(self.path("log")).unwrap());
            tokio::time::sleep(ms(50)).await;
        }
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn signal(&self, signal: &str) {
        super::signal(self.child.as_ref().unwrap().id(), signal);
    }

    /// Stops it with SIGSTOP: its sockets stay open, and nobody answers.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// Deletes all data of a member that does not run.
    pub(crate) fn wipe(&self) {
        assert!(self.child.is_none());
        std::fs::remove_dir_all(self.path(&self.data)).unwrap();
    }

    /// Saves a snapshot under this name.
    pub(crate) async fn save(&self, name: &str) {
        self.ctl(&["snapshot", "save", &self.path(name)]).await;
    }

    /// Replaces all data of a member that does not run by that of the snapshot.
    pub(crate) async fn restore(&mut self, name: &str) {
        assert!(self.child.is_none());
        let data = format!("{}-{name}", self.data);
        let url = format!("http://{}", self.advertised);
        let (path, target) = (self.path(name), self.path(&data));
        let arguments = ["snapshot", "restore", &path, "--data-dir", &target, "--name", &self.name];
        let cluster = [
            "--initial-cluster",
            &self.initial,
            "--initial-advertise-peer-urls",
            &url,
            "--initial-cluster-token",
            &self.token,
        ];
        self.ctl(&[&arguments[..], &cluster[..]].concat()).await;
        self.data = data;
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &format!("{}://{}", self.scheme, self.client)])
            .args(&self.ctl)
            .args(arguments)
            .kill_on_drop(true);
        command.stdin(Stdio::null());
        command
    }

    async fn try_ctl(&self, arguments: &[&str]) -> bool {
        let output = self.command(&["--command-timeout=2s"]).args(arguments).output().await;
        match output {
            Ok(output) => output.status.success(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => panic!("{HINT}"),
            Err(error) => panic!("etcdctl does not start: {error}"),
        }
    }

    /// What `etcdctl` says to these arguments.
    pub(crate) async fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().await.expect(HINT);
        assert!(output.status.success(), "etcdctl {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes a value as somebody else would.
    pub(crate) async fn put(&self, key: &str, value: &[u8]) {
        use tokio::io::AsyncWriteExt;
        let mut child =
            self.command(&["put", key]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect(HINT);
        child.stdin.take().unwrap().write_all(value).await.unwrap();
        assert!(child.wait().await.unwrap().success());
    }

    /// The keys of the instances of this service.
    pub(crate) async fn keys(&self, service: &str) -> Vec<String> {
        let prefix = format!("/courier/services/{service}/");
        let text = self.ctl(&["get", "--prefix", "--keys-only", &prefix]).await;
        text.lines().filter(|key| key.len() > prefix.len()).map(str::to_owned).collect()
    }

    /// The value at the key.
    pub(crate) async fn value(&self, key: &str) -> String {
        self.ctl(&["get", "--print-value-only", key]).await
    }

    /// The revision at which the key was made, which is another one after it was deleted.
    pub(crate) async fn created(&self, key: &str) -> u64 {
        field(&self.ctl(&["get", "-w", "json", key]).await, "\"create_revision\":")
    }

    /// The revision of the store.
    pub(crate) async fn revision(&self) -> u64 {
        field(&self.ctl(&["endpoint", "status", "-w", "json"]).await, "\"revision\":")
    }

    /// Forgets the whole history up to now.
    pub(crate) async fn compact(&self) {
        let revision = self.revision().await.to_string();
        self.ctl(&["compact", &revision]).await;
    }

    /// How many leases there are.
    pub(crate) async fn leases(&self) -> usize {
        self.ctl(&["lease", "list"]).await.lines().skip(1).filter(|line| !line.is_empty()).count()
    }

    async fn member(&self) -> u64 {
        field(&self.ctl(&["endpoint", "status", "-w", "json"]).await, "\"member_id\":")
    }

    async fn leader(&self) -> u64 {
        field(&self.ctl(&["endpoint", "status", "-w", "json"]).await, "\"leader\":")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The number after this in the text.
fn field(text: &str, name: &str) -> u64 {
    let at = text.find(name).unwrap_or_else(|| panic!("no {name} in {text}")) + name.len();
    let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Three members, each with a proxy before it for the other members.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Etcd>,
    peers: Vec<Proxy>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let mut members: Vec<Etcd> =
            ["one", "two", "three"].iter().map(|name| Etcd::new(name, ["100", "1000"])).collect();
        let mut peers = Vec::new();
        for member in &mut members {
            let proxy = Proxy::to(&member.peer).await;
            member.advertised = proxy.address();
            peers.push(proxy);
        }
        let initial: Vec<String> =
            members.iter().map(|member| format!("{}=http://{}", member.name, member.advertised)).collect();
        let token = members[0].token.clone();
        for member in &mut members {
            member.initial = initial.join(",");
            member.token = token.clone();
            member.spawn();
        }
        for member in &mut members {
            member.until_healthy().await;
        }
        Self { members, peers }
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Etcd::endpoint).collect()
    }

    /// Which member leads.
    pub(crate) async fn leader(&self) -> usize {
        let leader = self.members[0].leader().await;
        for (at, member) in self.members.iter().enumerate() {
            if member.member().await == leader {
                return at;
            }
        }
        panic!("nobody leads");
    }

    /// Cuts one member off from the others, but not from its clients.
    pub(crate) async fn part(&self, alone: usize) {
        let id = format!("{:x}", self.members[alone].member().await);
        for (at, proxy) in self.peers.iter().enumerate() {
            if at == alone { proxy.freeze() } else { proxy.freeze_from(&id) }
        }
    }

    /// Puts them together again.
    pub(crate) fn heal(&self) {
        for proxy in &self.peers {
            proxy.thaw();
        }
    }
}
