//! Our view of the trait: a [`Service`] of [`Method`]s, with everything that the expansion needs already decided.

use std::time::Duration;

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, FnArg, ItemTrait, Pat, ReturnType, TraitItem, TraitItemFn, Type};

use crate::attr;
use crate::case;
use crate::ctxt::Ctxt;
use crate::service::attr::{Codec, RpcAttrs, ServiceAttrs};
use crate::spelling;

/// A trait with `#[service]`.
pub(crate) struct Service<'a> {
    /// The trait as it was written.
    pub(crate) item: &'a ItemTrait,
    /// The name on the wire, `demo.v1.Greeter`, and where it is from.
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) codecs: Vec<Codec>,
    /// The text of the doc comment.
    pub(crate) docs: String,
    /// `#[cfg]`s of the trait, for everything that is generated beside it.
    pub(crate) cfgs: Vec<&'a Attribute>,
    /// `GreeterClient`
    pub(crate) client: Ident,
    /// `GreeterServer`
    pub(crate) server: Ident,
    /// `greeter`
    pub(crate) module: Ident,
    /// The methods that could be understood; errors are recorded for the others.
    pub(crate) methods: Vec<Method<'a>>,
}

/// A method of the trait.
pub(crate) struct Method<'a> {
    /// The method as it was written.
    pub(crate) item: &'a TraitItemFn,
    /// The name on the wire, `SayHello`, and where it is from.
    pub(crate) name: String,
    pub(crate) name_span: Span,
    /// The method as a type, `SayHello`.
    pub(crate) marker: Ident,
    /// What the client calls its method: the trait's name, unless the client has something else of that name.
    pub(crate) client_name: Ident,
    pub(crate) docs: String,
    pub(crate) cfgs: Vec<&'a Attribute>,
    /// Name and type of each argument.
    pub(crate) args: Vec<(&'a Ident, &'a Type)>,
    pub(crate) request: Request<'a>,
    pub(crate) reply: Reply<'a>,
    /// `Result<T, E>` as it was written, `T`, and `E`.
    pub(crate) result: &'a Type,
    pub(crate) output: &'a Type,
    pub(crate) error: &'a Type,
    pub(crate) shape: Shape,
    pub(crate) oneway: Option<Span>,
    pub(crate) idempotent: bool,
    pub(crate) spawn: bool,
    pub(crate) timeout: Option<Duration>,
}

/// How many messages go each way.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Unary,
    ServerStreaming,
    ClientStreaming,
    BidiStreaming,
}

/// What travels to the server.
pub(crate) enum Request<'a> {
    /// No argument: the empty message.
    Empty,
    /// One argument of a message type: it is the body.
    Body(&'a Ident, &'a Type),
    /// Anything else: a generated struct of this name, with a field for each argument.
    Fields(Ident),
    /// One argument that is a stream: each item is a message.
    Stream(&'a Ident, Value<'a>),
}

/// What travels back.
pub(crate) enum Reply<'a> {
    /// One message.
    One(Value<'a>),
    /// A stream: each item is a message.
    Stream(Value<'a>),
}

/// A value that travels alone, as a message.
pub(crate) enum Value<'a> {
    /// `()`: the empty message.
    Empty,
    /// A message type: it is the body.
    Body(&'a Type),
    /// Anything else: a generated struct of this name, with one field `value` of this type.
    Wrapped(Ident, &'a Type),
}

impl<'a> Value<'a> {
    /// `wrapper` is the name of the generated struct, if there has to be one.
    fn new(ty: &'a Type, wrapper: Ident) -> Self {
        if spelling::is_unit(ty) {
            Self::Empty
        } else if spelling::is_scalar(ty) {
            Self::Wrapped(wrapper, ty)
        } else {
            Self::Body(ty)
        }
    }
}

/// Names that a client has for itself. A method of such a name gets a `_` there; in the trait it keeps its name.
const CLIENT_NAMES: [&str; 5] = ["new", "connect", "local", "channel", "clone"];

impl<'a> Service<'a> {
    pub(crate) fn from_syn(args: TokenStream, item: &'a ItemTrait, cx: &Ctxt) -> Self {
        let attrs = ServiceAttrs::parse(args, cx);
        let plain = case::plain(&item.ident);
        let span = item.ident.span();
        let methods = item.items.iter().filter_map(|item| match item {
            TraitItem::Fn(item) => Method::from_syn(item, cx),
            _ => None,
        });
        let (name, name_span) = attrs.name.unwrap_or_else(|| (plain.clone(), span));
        Self {
            item,
            name,
            name_span,
            codecs: attrs.codecs.unwrap_or_else(Codec::defaults),
            docs: attr::docs(&item.attrs),
            cfgs: attr::cfgs(&item.attrs),
            client: case::ident(&format!("{plain}Client"), span),
            server: case::ident(&format!("{plain}Server"), span),
            module: case::ident(&case::snake(&plain), span),
            methods: methods.collect(),
        }
    }
}

impl<'a> Method<'a> {
    /// `None` if arguments or return type cannot be understood; the reasons are in `cx`.
    fn from_syn(item: &'a TraitItemFn, cx: &Ctxt) -> Option<Self> {
        let attrs = RpcAttrs::parse(&item.attrs, cx);
        let ident = &item.sig.ident;
        let plain = case::plain(ident);
        let camel = case::camel(&plain);

        let args = arguments(item, cx);
        let result = result(item, cx);
        let (args, (result, output, error)) = (args?, result?);

        let wrapper = |what: &str| case::ident(&format!("__{camel}{what}"), ident.span());
        let request = match args[..] {
            [] => Request::Empty,
            [(name, ty)] => match spelling::items(ty) {
                Some(item) => Request::Stream(name, Value::new(item, wrapper("Request"))),
                None if spelling::is_scalar(ty) => Request::Fields(wrapper("Request")),
                None => Request::Body(name, ty),
            },
            _ => Request::Fields(wrapper("Request")),
        };
        let reply = match spelling::items(output) {
            Some(item) => Reply::Stream(Value::new(item, wrapper("Reply"))),
            None => Reply::One(Value::new(output, wrapper("Reply"))),
        };
        let shape = match (&request, &reply) {
            (Request::Stream(..), Reply::Stream(_)) => Shape::BidiStreaming,
            (Request::Stream(..), Reply::One(_)) => Shape::ClientStreaming,
            (_, Reply::Stream(_)) => Shape::ServerStreaming,
            (_, Reply::One(_)) => Shape::Unary,
        };
        let client_name = match CLIENT_NAMES.contains(&plain.as_str()) {
            true => case::ident(&format!("{plain}_"), ident.span()),
            false => ident.clone(),
        };
        let (name, name_span) = attrs.name.unwrap_or_else(|| (camel.clone(), ident.span()));
        Some(Self {
            item,
            name,
            name_span,
            marker: case::ident(&camel, ident.span()),
            client_name,
            docs: attr::docs(&item.attrs),
            cfgs: attr::cfgs(&item.attrs),
            args,
            request,
            reply,
            result,
            output,
            error,
            shape,
            oneway: attrs.oneway,
            idempotent: attrs.idempotent,
            spawn: attrs.spawn,
            timeout: attrs.timeout,
        })
    }

    /// The trait's name for it.
    pub(crate) fn ident(&self) -> &'a Ident {
        &self.item.sig.ident
    }
}

/// The arguments after `&self`, each a plain name of a type that can travel.
fn arguments<'a>(item: &'a TraitItemFn, cx: &Ctxt) -> Option<Vec<(&'a Ident, &'a Type)>> {
    let mut args = Some(Vec::new());
    for arg in &item.sig.inputs {
        let FnArg::Typed(arg) = arg else { continue };
        if let Some(attribute) = arg.attrs.iter().find(|attribute| attr::is_conditional(attribute)) {
            cx.error(
                attribute,
                "an argument cannot be conditional: it is a field of the request; put the `#[cfg]` on the method",
            );
        }
        let travels = spelling::check_whole(&arg.ty, cx);
        match (&*arg.pat, &mut args) {
            (Pat::Ident(name), args)
                if name.by_ref.is_none() && name.mutability.is_none() && name.subpat.is_none() =>
            {
                match args {
                    Some(args) if travels => args.push((&name.ident, &*arg.ty)),
                    args => *args = None,
                }
            }
            (pattern, args) => {
                cx.error(
                    pattern,
                    "give the argument a plain name, as in `name: String`: it is what the field of the request is called",
                );
                *args = None;
            }
        }
    }
    // The first one is to blame, whatever stands beside it.
    let streams = args.iter().flatten().find(|(_, ty)| spelling::is_streaming(ty));
    if let (Some((_, stream)), Some(2..)) = (streams, args.as_ref().map(Vec::len)) {
        cx.error(
            stream,
            "a stream stands alone, as its items are all of the request: put what belongs to the call beside them into \
             metadata, or into the first item",
        );
        return None;
    }
    args
}

/// The return type, and the two types in it.
fn result<'a>(item: &'a TraitItemFn, cx: &Ctxt) -> Option<(&'a Type, &'a Type, &'a Type)> {
    let ReturnType::Type(_, result) = &item.sig.output else {
        cx.error(
            &item.sig,
            "a call can always fail: return a `Result<T, E>`, `Result<(), Status>` if there is nothing to return",
        );
        return None;
    };
    let Some((output, error)) = spelling::result(result) else {
        cx.error(
            result,
            "a call can always fail: return a `Result<T, E>`, spelled with both of its types, as in \
             `Result<String, Status>`",
        );
        return None;
    };
    let travels = spelling::is_unit(output) || spelling::check_whole(output, cx);
    travels.then_some((&**result, output, error))
}
