//! A service as an annotated trait, which `#[service]` turns into a client and a server.

use proc_macro2::TokenStream;
use prost_build::{Method, Service};
use prost_types::method_options::IdempotencyLevel;
use prost_types::{MethodDescriptorProto, ServiceDescriptorProto};
use quote::quote;
use syn::{Ident, ItemTrait, TraitItemFn, Type, parse_quote};

use crate::doc;
use crate::error::Problem;
use crate::message::attributes;
use crate::names;
use crate::policy::Policy;
use crate::schema::SourceFile;

/// A trait and what it is called in the .proto.
pub(crate) struct Trait {
    pub(crate) item: ItemTrait,
    pub(crate) place: String,
}

/// Writes the trait for the service at `index` in `file`.
///
/// Types are spelled in full (`::core::result::Result`, `::rpc_core::Status`, `::rpc_core::Streaming`); they are shortened
/// with those of the messages, once it is known which short names are free.
pub(crate) fn item(
    file: &SourceFile,
    index: i32,
    service: &Service,
    policies: &[Policy],
    codecs: &[String],
    problems: &mut Vec<Problem>,
) -> Option<Trait> {
    let descriptor = &file.proto.service[index as usize];
    let place = file.place(&[6, index]);
    let mut methods: Vec<TraitItemFn> = Vec::new();
    for (at, method) in (0..).zip(&service.methods) {
        let path = [6, index, 2, at];
        let place = file.place(&path);
        let descriptor = &descriptor.method[at as usize];
        let policy = &policies[at as usize];
        refuse(descriptor, service, policy, &place, problems);
        let docs = attributes(&doc::lines(file.location(&path)));
        match function(method, descriptor, policy) {
            Ok(mut function) => {
                // Also if they differ as functions (`get_a1` and `get_a_1`): each is a type as well.
                let marker = names::marker(&method.name);
                let same = |other: &&Method| names::marker(&other.name) == marker;
                if let Some(other) = service.methods[..at as usize].iter().find(same) {
                    problems.push(Problem::new(
                        &place,
                        format!(
                            "`{}` and `{}` of `{}` are both `{marker}` in Rust",
                            method.proto_name, other.proto_name, service.proto_name
                        ),
                        crate::check::RENAME,
                    ));
                }
                function.attrs.splice(0..0, docs);
                methods.push(function);
            }
            Err(error) => problems.push(unusable(&place, &error)),
        }
    }
    match skeleton(service, descriptor, codecs) {
        Ok(mut item) => {
            item.attrs.splice(0..0, attributes(&doc::lines(file.location(&[6, index]))));
            item.items.extend(methods.into_iter().map(syn::TraitItem::Fn));
            Some(Trait { item, place })
        }
        Err(error) => {
            problems.push(unusable(&place, &error));
            None
        }
    }
}

fn skeleton(
    service: &Service,
    descriptor: &ServiceDescriptorProto,
    codecs: &[String],
) -> syn::Result<ItemTrait> {
    let ident: Ident = syn::parse_str(&service.name)?;
    let name = match service.package.as_str() {
        "" => service.proto_name.clone(),
        package => format!("{package}.{}", service.proto_name),
    };
    let codecs: Vec<syn::Path> =
        codecs.iter().map(|codec| syn::parse_str(codec)).collect::<syn::Result<_>>()?;
    // What `#[service]` takes if nothing is said needs no saying.
    let usual = codecs.len() == 2 && codecs[0].is_ident("Protobuf") && codecs[1].is_ident("Json");
    let codecs: Option<TokenStream> = (!usual).then(|| quote!(, codecs(#(#codecs),*)));
    let mut item: ItemTrait = parse_quote! {
        #[::rpc_core::service(name = #name #codecs)]
        pub trait #ident {}
    };
    if descriptor.options.as_ref().is_some_and(|options| options.deprecated()) {
        item.attrs.push(parse_quote!(#[deprecated]));
    }
    Ok(item)
}

fn function(
    method: &Method,
    descriptor: &MethodDescriptorProto,
    policy: &Policy,
) -> syn::Result<TraitItemFn> {
    let ident: Ident = syn::parse_str(&method.name)?;
    let name = &method.proto_name;
    let mut arguments: Vec<syn::Meta> = Vec::new();
    if *name != names::marker(&method.name) {
        arguments.push(parse_quote!(name = #name));
    }
    if policy.oneway {
        arguments.push(parse_quote!(oneway));
    }
    let level = descriptor.options.as_ref().map(|options| options.idempotency_level());
    if policy.idempotent || level.is_some_and(|level| level != IdempotencyLevel::IdempotencyUnknown) {
        arguments.push(parse_quote!(idempotent));
    }
    if !policy.timeout.is_empty() {
        let timeout = &policy.timeout;
        arguments.push(parse_quote!(timeout = #timeout));
    }
    let mut output: Type = syn::parse_str(&method.output_type)?;
    if method.server_streaming {
        output = parse_quote!(::rpc_core::Streaming<#output>);
    }
    let argument: Option<syn::FnArg> = match method.input_type.as_str() {
        input if method.client_streaming => {
            let input: Type = syn::parse_str(input)?;
            Some(parse_quote!(requests: ::rpc_core::Streaming<#input>))
        }
        "()" => None,
        input => {
            let input: Type = syn::parse_str(input)?;
            // A wrapper is a message of one field called `value`, and the macro makes the same of one scalar.
            let name: Ident = if is_wrapper(&method.input_proto_type) {
                parse_quote!(value)
            } else {
                parse_quote!(request)
            };
            Some(parse_quote!(#name: #input))
        }
    };
    let argument = argument.iter();
    let mut function: TraitItemFn = parse_quote! {
        async fn #ident(&self #(, #argument)*) -> ::core::result::Result<#output, ::rpc_core::Status>;
    };
    if !arguments.is_empty() {
        function.attrs.push(parse_quote!(#[rpc(#(#arguments),*)]));
    }
    if descriptor.options.as_ref().is_some_and(|options| options.deprecated()) {
        function.attrs.push(parse_quote!(#[deprecated]));
    }
    Ok(function)
}

/// Whether this is `google.protobuf.StringValue` or one of its kind.
fn is_wrapper(name: &str) -> bool {
    name.strip_prefix(".google.protobuf.")
        .is_some_and(|name| name.ends_with("Value") && !matches!(name, "Value" | "ListValue"))
}

/// What cannot be a trait's method.
fn refuse(
    method: &MethodDescriptorProto,
    service: &Service,
    policy: &Policy,
    place: &str,
    problems: &mut Vec<Problem>,
) {
    let name = format!("{}.{}", service.proto_name, method.name());
    if policy.oneway && (method.client_streaming() || method.server_streaming()) {
        problems.push(Problem::new(
            place,
            format!("method `{name}` is oneway, and has a stream, which needs both ways"),
            "take `oneway` away, or `stream`",
        ));
        return;
    }
    if policy.oneway && method.output_type() != ".google.protobuf.Empty" {
        problems.push(Problem::new(
            place,
            format!("method `{name}` is oneway, so nobody will see its `{}`", &method.output_type()[1..]),
            "let it return `google.protobuf.Empty`, or take `oneway` away",
        ));
    }
}

fn unusable(place: &str, error: &syn::Error) -> Problem {
    Problem::new(
        place,
        format!("no Rust can be written for this: {error}"),
        "rename it, or mend its extern path",
    )
}
