//! `mod greeter`: the description of the service, and its methods as types.
//!
//! A module inside of a function does not see what is beside it there, so this one is written from literals and
//! `::rpc_core` alone. The one thing that needs the user's scope, the codecs, comes to it through a trait
//! ([`described`]).

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Visibility, parse_quote};

use crate::case;
use crate::service::ast::{Method, Service, Shape};

/// The module.
pub(super) fn module(service: &Service<'_>) -> TokenStream {
    let Service { cfgs, module, name, docs, .. } = service;
    let (vis, ident) = (&service.item.vis, &service.item.ident);
    let inner = one_deeper(vis);
    let module_docs =
        format!(" [`{ident}`] as the framework knows it: its description, and its methods as types.");
    let markers = service.methods.iter().map(|method| marker(service, method, &inner));
    let present = service.methods.iter().map(|Method { cfgs, .. }| quote!(#(#cfgs)* (),));
    let entries = service.methods.iter().map(|method| entry(service, method));
    let places = service.methods.iter().map(|Method { cfgs, marker, .. }| quote!(#(#cfgs)* #marker));
    quote! {
        #(#cfgs)*
        #[doc = #module_docs]
        #[allow(dead_code, non_camel_case_types, unreachable_pub)]
        #vis mod #module {
            /// Names, shapes, codecs, policies and docs.
            #inner static DESCRIPTOR: ::rpc_core::private::ServiceDescriptor = {
                static METHODS: [::rpc_core::private::MethodDescriptor; <[()]>::len(&[#(#present)*])] = [#(#entries)*];
                ::rpc_core::private::ServiceDescriptor::new(
                    #name,
                    &METHODS,
                    <__Service as ::rpc_core::private::Described>::CODECS,
                    #docs,
                )
            };

            #(#markers)*

            #[doc(hidden)]
            #[derive(::rpc_core::private::fmt::Debug)]
            #inner struct __Service;

            // A method's number is its place in `METHODS`. Only the compiler knows which methods are there (they may
            // have a `#[cfg]`), so it does the counting.
            enum __Place { #(#places),* }
        }
    }
}

/// What the module gets from the trait's scope.
pub(super) fn described(service: &Service<'_>) -> TokenStream {
    let module = &service.module;
    let codecs = service.codecs.iter().map(|codec| {
        let codec = codec.path(Span::call_site());
        quote! {
            ::rpc_core::private::CodecInfo::new(
                <#codec as ::rpc_core::private::Codec<::rpc_core::private::Empty>>::ID,
                <#codec as ::rpc_core::private::Codec<::rpc_core::private::Empty>>::NAME,
            )
        }
    });
    let messages = service.methods.iter().map(|Method { cfgs, marker, .. }| {
        let method = quote!(<#module::#marker as ::rpc_core::private::Method>);
        quote! {
            #(#cfgs)*
            [
                ::rpc_core::private::SchemaOf::<#method::Request>::GET,
                ::rpc_core::private::SchemaOf::<#method::Reply>::GET,
            ],
        }
    });
    quote! {
        impl ::rpc_core::private::Described for #module::__Service {
            const CODECS: &'static [::rpc_core::private::CodecInfo] = &[#(#codecs),*];
            const MESSAGES: &'static [[::rpc_core::private::SchemaFn; 2]] = {
                #[allow(unused_imports)]
                use ::rpc_core::private::Undescribed as _;
                &[#(#messages)*]
            };
        }
    }
}

/// A method as a type, and its number.
fn marker(service: &Service<'_>, method: &Method<'_>, vis: &Visibility) -> TokenStream {
    let Method { cfgs, marker, .. } = method;
    let docs = format!(" The method `{}::{}` as a type.", service.item.ident, method.ident());
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #[derive(
            ::rpc_core::private::clone::Clone,
            ::rpc_core::private::marker::Copy,
            ::rpc_core::private::fmt::Debug,
        )]
        #vis struct #marker;

        #(#cfgs)*
        impl #marker {
            #[doc(hidden)]
            #vis const INDEX: usize = __Place::#marker as usize;
        }
    }
}

/// A method in the description, with the comma behind it: what a `#[cfg]` takes away.
fn entry(service: &Service<'_>, method: &Method<'_>) -> TokenStream {
    let Method { cfgs, marker, name, docs, shape, .. } = method;
    let path = format!("{}/{}", service.name, name);
    let service = &service.name;
    let shape = format_ident!(
        "{}",
        match shape {
            Shape::Unary => "Unary",
            Shape::ServerStreaming => "ServerStreaming",
            Shape::ClientStreaming => "ClientStreaming",
            Shape::BidiStreaming => "BidiStreaming",
        }
    );
    let oneway = method.oneway.map(|_| quote!(.with_oneway()));
    let idempotent = method.idempotent.then(|| quote!(.with_idempotent()));
    let spawn = method.spawn.then(|| quote!(.with_spawn()));
    let timeout = method.timeout.map(|timeout| {
        let (seconds, nanos) = (timeout.as_secs(), timeout.subsec_nanos());
        quote!(.with_timeout(::rpc_core::private::Duration::new(#seconds, #nanos)))
    });
    quote! {
        #(#cfgs)*
        {
            ::rpc_core::private::MethodDescriptor::new(#service, #name, #path, #marker::INDEX)
                .with_shape(::rpc_core::private::Shape::#shape)
                #oneway
                #idempotent
                #spawn
                #timeout
                .with_messages(
                    <__Service as ::rpc_core::private::Described>::MESSAGES[#marker::INDEX][0],
                    <__Service as ::rpc_core::private::Described>::MESSAGES[#marker::INDEX][1],
                )
                .with_docs(#docs)
        },
    }
}

/// The same visibility, said from a module further in.
pub(in crate::service) fn one_deeper(vis: &Visibility) -> Visibility {
    let Visibility::Restricted(restricted) = vis else {
        return match vis {
            Visibility::Inherited => parse_quote!(pub(super)),
            vis => vis.clone(),
        };
    };
    let path = &restricted.path;
    let Some(first) = path.segments.first() else { return vis.clone() };
    match case::plain(&first.ident).as_str() {
        "self" => {
            let rest = path.segments.iter().skip(1);
            parse_quote!(pub(in super #(::#rest)*))
        }
        "super" => parse_quote!(pub(in super::#path)),
        _ => vis.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;

    #[test]
    fn visibility_means_the_same_one_module_deeper() {
        let cases: [(Visibility, Visibility); 7] = [
            (Visibility::Inherited, parse_quote!(pub(super))),
            (parse_quote!(pub), parse_quote!(pub)),
            (parse_quote!(pub(crate)), parse_quote!(pub(crate))),
            (parse_quote!(pub(self)), parse_quote!(pub(in super))),
            (parse_quote!(pub(super)), parse_quote!(pub(in super::super))),
            (parse_quote!(pub(in super::super)), parse_quote!(pub(in super::super::super))),
            (parse_quote!(pub(in crate::a)), parse_quote!(pub(in crate::a))),
        ];
        for (outside, inside) in cases {
            let made = one_deeper(&outside).into_token_stream().to_string();
            assert_eq!(made, inside.into_token_stream().to_string());
        }
    }
}
