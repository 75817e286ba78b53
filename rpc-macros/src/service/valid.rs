//! The rules of a service, a function for each kind. A broken rule says what to write in place of it.

use syn::{FnArg, Generics, ItemTrait, Signature, TraitItem, TraitItemFn};

use crate::case;
use crate::ctxt::Ctxt;
use crate::service::ast::{Method, Reply, Request, Service, Value};
use crate::wire_name;

/// A request struct with more fields than this is a sign of a missing type; nobody has needed it.
const MOST_ARGUMENTS: usize = 64;

/// Records every rule that the service breaks.
pub(crate) fn check(service: &Service<'_>, cx: &Ctxt) {
    the_trait(service.item, cx);
    service_names(service, cx);
    for item in &service.item.items {
        match item {
            TraitItem::Fn(item) => method(item, cx),
            other => not_a_method(other, cx),
        }
    }
    for method in &service.methods {
        method_name(method, cx);
        oneway(method, cx);
    }
    clashes(service, cx);
}

fn the_trait(item: &ItemTrait, cx: &Ctxt) {
    no_generics(&item.generics, "a service", cx);
    if let Some(keyword) = &item.unsafety {
        cx.error(
            keyword,
            "a service cannot be unsafe: a caller at the other end cannot promise anything; leave it out",
        );
    }
    if let Some(keyword) = &item.auto_token {
        cx.error(keyword, "an auto trait has no methods to call: leave `auto` out");
    }
    if !item.supertraits.is_empty() {
        cx.error(
            &item.supertraits,
            "a service has no supertraits, the client could not implement them: leave them out \
             (`Send + Sync + 'static` is added for you)",
        );
    }
}

fn no_generics(generics: &Generics, whose: &str, cx: &Ctxt) {
    if !generics.params.is_empty() {
        cx.error(
            generics,
            format_args!(
                "{whose} has no generics, nothing on the wire says which types are meant: name the types"
            ),
        );
    }
    if let Some(clause) = &generics.where_clause {
        cx.error(clause, format_args!("{whose} has no `where` clause: leave it out"));
    }
}

fn service_names(service: &Service<'_>, cx: &Ctxt) {
    if !wire_name::is_full(&service.name) {
        cx.error_at(
            service.name_span,
            format_args!(
                "`{}` cannot be a service's name: use ASCII letters, digits and `_`, with dots between the parts, as in \
                 `#[service(name = \"demo.v1.Greeter\")]`",
                service.name
            ),
        );
    }
    if service.module == service.item.ident {
        cx.error(
            &service.item.ident,
            "the module of the service would have the same name: name the trait in CamelCase",
        );
    }
}

fn not_a_method(item: &TraitItem, cx: &Ctxt) {
    let message = match item {
        TraitItem::Const(_) => {
            "a service has no constants, only methods can be called: leave it out, or make it a method"
        }
        TraitItem::Type(_) => {
            "a service has no associated types, nothing on the wire says which type is meant: name it"
        }
        TraitItem::Macro(_) => "a macro cannot be looked into: write the methods out",
        _ => "a service has only methods: leave it out",
    };
    cx.error(item, message);
}

fn method(item: &TraitItemFn, cx: &Ctxt) {
    signature(&item.sig, cx);
    receiver(&item.sig, cx);
    if let Some(body) = &item.default {
        cx.error(
            body,
            "a method of a service has no body: the client calls the server in place of it; end with `;`",
        );
    }
}

fn signature(sig: &Signature, cx: &Ctxt) {
    no_generics(&sig.generics, "a method of a service", cx);
    if sig.asyncness.is_none() {
        cx.error_at(sig.fn_token.span, "a call takes time: make the method an `async fn`");
    }
    if let Some(keyword) = &sig.constness {
        cx.error(keyword, "a method of a service cannot be const: leave it out");
    }
    if let Some(keyword) = &sig.unsafety {
        cx.error(keyword, "a method of a service cannot be unsafe: a caller at the other end cannot promise anything; leave it out");
    }
    if let Some(abi) = &sig.abi {
        cx.error(abi, "a method of a service is called through its client, not by an ABI: leave it out");
    }
    if let Some(dots) = &sig.variadic {
        cx.error(dots, "a method of a service has a fixed number of arguments: take a `Vec`");
    }
    let count = sig.inputs.iter().filter(|arg| matches!(arg, FnArg::Typed(_))).count();
    if count > MOST_ARGUMENTS {
        cx.error(
            &sig.inputs,
            format_args!("{count} arguments are more than {MOST_ARGUMENTS}: take a `#[message]` struct"),
        );
    }
}

fn receiver(sig: &Signature, cx: &Ctxt) {
    const SHARED: &str = "take `&self`: many calls run at the same time on one implementation";
    match sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.colon_token.is_some() => cx.error(receiver, SHARED),
        Some(FnArg::Receiver(receiver)) => match (&receiver.reference, &receiver.mutability) {
            (Some((_, None)), None) => {}
            (Some((_, Some(lifetime))), None) => cx.error(lifetime, "leave the lifetime out: take `&self`"),
            (Some(_), Some(_)) => {
                cx.error(receiver, format_args!("{SHARED}; keep what changes in a `Mutex` or an atomic"));
            }
            (None, _) => cx.error(receiver, SHARED),
        },
        _ => cx.error(&sig.ident, "a method of a service is called on something: take `&self` first"),
    }
}

fn method_name(method: &Method<'_>, cx: &Ctxt) {
    if !wire_name::is_simple(&method.name) {
        cx.error_at(
            method.name_span,
            format_args!(
                "`{}` cannot be a method's name on the wire: use ASCII letters, digits and `_`, as in \
                 `#[rpc(name = \"SayHello\")]`",
                method.name
            ),
        );
    }
}

fn oneway(method: &Method<'_>, cx: &Ctxt) {
    if method.oneway.is_none() {
        return;
    }
    if let (Request::Stream(..), [(_, stream)]) = (&method.request, &method.args[..]) {
        cx.error(
            stream,
            "a oneway call is one message, for nobody could say how much of a stream was handled: take a `Vec`, or leave \
             `oneway` out",
        );
    }
    if !matches!(method.reply, Reply::One(Value::Empty)) {
        cx.error(
            method.output,
            "a oneway method is not answered: return `Result<(), E>`, or leave `oneway` out",
        );
    }
}

/// Names that two methods cannot both have.
fn clashes(service: &Service<'_>, cx: &Ctxt) {
    for (at, method) in service.methods.iter().enumerate() {
        let ident = method.ident();
        // Of two methods that are both conditional at most one may be there: only the compiler can tell.
        let mut before = service.methods[..at].iter().filter(|b| b.cfgs.is_empty() || method.cfgs.is_empty());
        let found = before.find_map(|before| {
            let other = before.ident();
            if case::plain(other) == case::plain(ident) {
                Some((ident.span(), format!("two methods are named `{ident}`: give one another name")))
            } else if before.marker == method.marker {
                Some((
                    ident.span(),
                    format!(
                        "`{other}` and `{ident}` would both be the type `{}`: give one another name",
                        method.marker
                    ),
                ))
            } else if before.name == method.name {
                Some((
                    method.name_span,
                    format!(
                        "`{other}` and `{ident}` are both `{}` on the wire: give one another `#[rpc(name = \"…\")]`",
                        method.name
                    ),
                ))
            } else {
                None
            }
        });
        if let Some((span, message)) = found {
            cx.error_at(span, message);
        }
    }
}
