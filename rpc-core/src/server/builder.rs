//! [`Builder`]: what a server is made of.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tower::layer::util::Identity;
use tower::{Layer, Service};

use crate::call::service::CastLayer;
use crate::call::{Request, Response};
use crate::discovery::{Instance, Registry};
use crate::server::accept::{self, Shared};
use crate::server::announce::{Announcer, Plan};
#[cfg(feature = "macros")]
use crate::server::health::{HealthServer, Reporter};
use crate::server::router::Router;
use crate::server::services::{Entry, IntoServices, Services};
use crate::server::stack::{Bare, Handlers, Layered, Layers, Stack};
use crate::server::{Serve, Server};
use crate::status::Status;
use crate::transport::{Address, InvalidAddress, Listener, bind};
use crate::wire;

/// Makes a [`Server`].
#[must_use = "a builder does nothing until it is bound"]
pub struct Builder<L = Identity> {
    services: Vec<(&'static crate::call::ServiceDescriptor, Handlers)>,
    layers: L,
    config: wire::Config,
    max_connections: usize,
    in_place: Duration,
    layered: bool,
    plan: Plan,
}

/// Why a server could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The text is no address.
    Address(InvalidAddress),
    /// The operating system said no.
    Io(io::Error),
    /// The services do not go together: two have the same name.
    Services(String),
    /// It listens at an address that others cannot call, and does not say which one they can.
    Advertise(String),
    /// A registry did not take it in time, and [must](Builder::announce_required).
    Announce(Status),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Services(error) | Self::Advertise(error) => f.write_str(error),
            Self::Announce(status) => write!(f, "the server could not be registered: {}", status.message()),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Announce(status) => Some(status),
            Self::Services(_) | Self::Advertise(_) => None,
        }
    }
}

impl From<BindError> for Status {
    fn from(error: BindError) -> Self {
        Self::failed_precondition(error.to_string()).with_source(error)
    }
}

/// What names a place to listen at: a text like `"0.0.0.0:7000"`, an [`Address`], a `SocketAddr`.
pub trait IntoAddress {
    /// The address.
    ///
    /// # Errors
    /// [`InvalidAddress`] if it is none.
    fn into_address(self) -> Result<Address, InvalidAddress>;
}

impl IntoAddress for &str {
    fn into_address(self) -> Result<Address, InvalidAddress> {
        self.parse()
    }
}

impl IntoAddress for String {
    fn into_address(self) -> Result<Address, InvalidAddress> {
        self.parse()
    }
}

impl IntoAddress for Address {
    fn into_address(self) -> Result<Address, InvalidAddress> {
        Ok(self)
    }
}

impl IntoAddress for &Address {
    fn into_address(self) -> Result<Address, InvalidAddress> {
        Ok(self.clone())
    }
}

impl IntoAddress for std::net::SocketAddr {
    fn into_address(self) -> Result<Address, InvalidAddress> {
        Ok(self.into())
    }
}

/// How long handlers run in place in one go, unless told otherwise.
pub(crate) const IN_PLACE: Duration = Duration::from_micros(100);

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            services: Vec::new(),
            layers: Identity::new(),
            config: wire::Config::default(),
            max_connections: 65_536,
            in_place: IN_PLACE,
            layered: false,
            plan: Plan::default(),
        }
    }
}

impl<L> Builder<L> {
    /// Serves this service. A server may have many; each needs a name of its own.
    pub fn service(mut self, service: impl Serve) -> Self {
        self.services.push((service.descriptor(), Handlers::new(service)));
        self
    }

    /// Puts a layer round every handler, inside of those that were added before: the first one sees a request
    /// first, and its reply last.
    ///
    /// It is one of [`middleware`](crate::middleware), an async function by
    /// [`from_fn`](crate::middleware::from_fn()), or any tower layer whose service takes a [`Request`], gives a
    /// [`Response`], and whose error is a [`Status`] or converts into a boxed one.
    pub fn layer<N>(self, layer: N) -> Builder<Stack<N, L>> {
        let Self { services, layers, config, max_connections, in_place, plan, .. } = self;
        let layers = Stack::new(CastLayer(layer), layers);
        Builder { services, layers, config, max_connections, in_place, layered: true, plan }
    }

    /// Sets limits and patience of every connection, all at once: see [`wire::Config`] for the defaults.
    pub fn config(mut self, config: wire::Config) -> Self {
        self.config = config;
        self
    }

    /// Takes requests of up to this many bytes. Default 16 MiB.
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.config.max_message = bytes;
        self
    }

    /// Takes this many calls at once on a connection; more are answered `RESOURCE_EXHAUSTED`, not executed. Default
    /// 16,384.
    pub fn max_calls_per_connection(mut self, calls: u32) -> Self {
        self.config.max_streams = calls;
        self
    }

    /// Takes this many connections at once; more are accepted when others have ended. Default 65,536.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Lets the handlers of a connection run for this long in one go where their requests were read, before those that
    /// are left get tasks of their own. Most handlers are done at once, and a task for each would cost more than the rest
    /// of the call; but while they run, the connection's other calls wait. A method whose handler often computes for half
    /// of this without awaiting gets tasks from the start. Zero gives every handler a task. Default 100 µs.
    pub fn in_place(mut self, limit: Duration) -> Self {
        self.in_place = limit;
        self
    }

    /// Pings each connection this often (default 20 s; `None` for never), and ends it if nothing comes within
    /// the timeout (default 10 s).
    pub fn keepalive(mut self, interval: Option<Duration>, timeout: Duration) -> Self {
        self.config.keepalive_interval = interval;
        self.config.keepalive_timeout = timeout;
        self
    }

    /// Registers each service of the server in this registry once it listens, keeps it so, and withdraws it first of all
    /// when the server [drains](Server::drain). Several registries are fine.
    ///
    /// By default it starts whether or not the registry can be reached, and is registered once it can: see
    /// [`announce_required`](Self::announce_required). What it says of itself: [`describe`](Self::describe); where it is:
    /// [`advertise`](Self::advertise).
    pub fn announce(mut self, registry: impl Registry) -> Self {
        self.plan.registries.push(Arc::new(registry));
        self
    }

    /// Registers under the name of an application, once, with a list of the services, in place of once for each service.
    /// Clients name the application and pick by [`Filter::service`](crate::discovery::Filter::service): less to keep for a
    /// registry where servers have many services.
    pub fn announce_as(mut self, application: impl Into<String>) -> Self {
        self.plan.application = Some(application.into());
        self
    }

    /// Says under which address others reach the server, where that is not the one that it listens at: behind a
    /// translation, or at `0.0.0.0`. Port 0 stands for the port that it got.
    pub fn advertise(mut self, address: impl IntoAddress) -> Self {
        self.plan.advertised = Some(address.into_address());
        self
    }

    /// What the server says of itself in registries: zone, version, weight, tags.
    ///
    /// ```
    /// use rpc_core::Server;
    /// # let registry = rpc_core::discovery::MemoryRegistry::new();
    ///
    /// let builder = Server::builder()
    ///     .announce(registry)
    ///     .describe(|instance| instance.with_zone("a").with_version("1.4.2").with_tag("group", "blue"));
    /// ```
    pub fn describe(mut self, describe: impl Fn(Instance) -> Instance + Send + Sync + 'static) -> Self {
        self.plan.describe = Some(Arc::new(describe));
        self
    }

    /// Lets [`bind`](Self::bind) wait until all registries have the server, and fail if they have not within this time.
    pub fn announce_required(mut self, within: Duration) -> Self {
        self.plan.required = Some(within);
        self
    }

    /// How long a server that drains goes on as if nothing was, after it has withdrawn, so that its clients hear of it
    /// before they are turned away. Default 1 s; what looks for servers less often needs more. It counts towards the
    /// limit of the drain, of which it takes half at most.
    pub fn propagation(mut self, time: Duration) -> Self {
        self.plan.propagation = time;
        self
    }
}

impl<L> Builder<L>
where
    L: Layer<Handlers> + Send + Sync + 'static,
    L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    /// Listens at an address and serves, from now until the server is drained or dropped. `"127.0.0.1:0"` takes a free
    /// port, `"unix:///path"` a Unix socket, `"memory://name"` a name in this process.
    ///
    /// # Errors
    /// [`BindError`] if the address is none, is taken, or two services have the same name; if it is to be registered and is
    /// no place that others can call; if it [must](Self::announce_required) be registered and was not in time.
    pub async fn bind(self, address: impl IntoAddress) -> Result<Server, BindError> {
        let address = address.into_address().map_err(BindError::Address)?;
        let listener = bind(&address).await.map_err(BindError::Io)?;
        let required = self.plan.required;
        let server = self.listen(listener)?;
        if let Some(within) = required {
            let registered = tokio::time::timeout(within, server.announced()).await;
            registered
                .unwrap_or_else(|_| {
                    Err(Status::unavailable(format!("no registry took it within {within:?}")))
                })
                .map_err(BindError::Announce)?;
        }
        Ok(server)
    }

    /// Serves what this listener accepts.
    ///
    /// # Errors
    /// [`BindError`] if two services have the same name, or if it is to be registered and is no place that others can
    /// call. It does not wait for registries: that is what [`Server::announced`] does.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen(self, listener: impl Into<Box<dyn Listener>>) -> Result<Server, BindError> {
        let listener = listener.into();
        let (max, config) = (self.max_connections, self.config.clone());
        let address = listener.local_addr();
        let names: Vec<_> = self.services.iter().map(|(descriptor, _)| descriptor.name).collect();
        let (plan, instance) = (self.plan.clone(), self.plan.instance(&address, &names)?);
        #[cfg(feature = "macros")]
        let health = Reporter::new(names.iter().copied());
        let services = self.into_services();
        #[cfg(feature = "macros")]
        let services = services.or_own(HealthServer::new(health.clone()));
        let router = Router::new(services).map(Arc::new).map_err(BindError::Services)?;
        let shared = Arc::new(Shared::new(router, config, max));
        let accepting = tokio::spawn(accept::accept(shared.clone(), listener));
        let announcer = instance.map(|instance| Announcer::start(plan, instance, &names));
        Ok(Server {
            shared,
            accepting,
            address,
            announcer,
            #[cfg(feature = "macros")]
            health,
        })
    }

    /// A way to connect to this server within the process, without an address.
    pub(crate) fn into_connector(self) -> accept::Local {
        let (max, config) = (self.max_connections, self.config.clone());
        let router = self.router().map_err(|error| error.to_string());
        accept::Local(router.map(|router| Arc::new(Shared::new(router, config, max))))
    }

    /// The services as one table of methods.
    fn router(self) -> Result<Arc<Router>, BindError> {
        Router::new(self.into_services()).map(Arc::new).map_err(BindError::Services)
    }
}

/// The services, each within the layers. Address, limits and patience are not what is served, and are left out.
impl<L> IntoServices for Builder<L>
where
    L: Layer<Handlers> + Send + Sync + 'static,
    L::Service: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    fn into_services(self) -> Services {
        let Self { services, layers, layered, in_place, .. } = self;
        let layers: Box<dyn Layers> = if layered { Box::new(Layered(layers)) } else { Box::new(Bare) };
        let entry = |(descriptor, handlers)| Entry { descriptor, service: layers.wrap(handlers), in_place };
        Services(services.into_iter().map(entry).collect())
    }
}

impl<L> fmt::Debug for Builder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.services.iter().map(|(descriptor, _)| descriptor.name).collect();
        f.debug_struct("Builder")
            .field("services", &services)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
