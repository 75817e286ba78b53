//! What travels: the request and the reply of each method, and the `Method` that ties them to it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use crate::service::ast::{Method, Reply, Request, Service};
use crate::spelling;

/// The generated messages of a method, and its `Method`.
pub(super) fn messages(service: &Service<'_>, method: &Method<'_>) -> TokenStream {
    let Method { cfgs, marker, output, error, .. } = method;
    let module = &service.module;
    let (request, request_type) = request(method);
    let (reply, reply_type) = reply(method);

    let (from_reply, to_reply) = match &method.reply {
        Reply::Empty => (
            quote!({
                let _ = reply;
            }),
            quote!({
                let () = output;
                <::rpc_core::private::Empty as ::rpc_core::private::default::Default>::default()
            }),
        ),
        Reply::Body(_) => (quote!(reply), quote!(output)),
        Reply::Value(message) => (quote!(reply.value), quote!(#message { value: output })),
    };

    // Each codec is named once for each message, at the message's place: a type that cannot travel is reported there.
    let request_span = match &method.request {
        Request::Body(_, ty) => ty.span(),
        _ => method.ident().span(),
    };
    let codecs = service.codecs.iter().map(|codec| {
        let (for_request, for_reply) = (codec.path(request_span), codec.path(output.span()));
        quote!(::rpc_core::private::codec_fns::<Self, #for_request, #for_reply>())
    });

    // At the places of the types as well: one that is less visible than the service is reported where it stands.
    let types = [
        quote_spanned!(request_span=> type Request = #request_type;),
        quote_spanned!(output.span()=> type Reply = #reply_type;),
        quote_spanned!(output.span()=> type Output = #output;),
        quote_spanned!(error.span()=> type Error = #error;),
    ];

    let check_error = quote_spanned!(error.span()=> ::rpc_core::private::method_error::<#error>());

    quote! {
        #request
        #reply

        #(#cfgs)*
        const _: () = #check_error;

        #(#cfgs)*
        impl ::rpc_core::private::Method for #module::#marker {
            #(#types)*

            fn descriptor() -> &'static ::rpc_core::private::MethodDescriptor {
                &#module::DESCRIPTOR.methods[#module::#marker::INDEX]
            }

            const CODECS: &'static [::rpc_core::private::CodecFns<Self>] = &[#(#codecs),*];

            fn output(reply: Self::Reply) -> Self::Output {
                #from_reply
            }

            fn reply(output: Self::Output) -> Self::Reply {
                #to_reply
            }
        }
    }
}

/// The request's struct or the checks of its type, and the type.
fn request(method: &Method<'_>) -> (TokenStream, TokenStream) {
    let cfgs = &method.cfgs;
    match &method.request {
        Request::Empty => (quote!(), quote!(::rpc_core::private::Empty)),
        Request::Body(_, ty) => (not_a_scalar(method, ty), quote!(#ty)),
        Request::Fields(message) => {
            let fields = method.args.iter().map(|(name, ty)| quote!(#name: #ty));
            let item = quote! {
                #(#cfgs)*
                #[::rpc_core::private::message]
                pub struct #message { #(#fields),* }
            };
            (item, quote!(#message))
        }
    }
}

/// The reply's struct or the checks of its type, and the type.
fn reply(method: &Method<'_>) -> (TokenStream, TokenStream) {
    let (cfgs, output) = (&method.cfgs, method.output);
    match &method.reply {
        Reply::Empty => (quote!(), quote!(::rpc_core::private::Empty)),
        Reply::Body(ty) => (not_a_scalar(method, ty), quote!(#ty)),
        Reply::Value(message) => {
            let item = quote! {
                #(#cfgs)*
                #[::rpc_core::private::message]
                pub struct #message { value: #output }
            };
            (item, quote!(#message))
        }
    }
}

/// Refuses an alias of a scalar or of `()`.
///
/// Such a type has a protobuf form of its own (prost gives `String` and its like the form of the well-known wrappers),
/// so nothing else would stop it; but its form would not be what the spelled-out type has.
fn not_a_scalar(method: &Method<'_>, ty: &Type) -> TokenStream {
    let cfgs = &method.cfgs;
    let ty_name = spelling::spell(ty);
    let message = format!(
        "`{ty_name}` is another name for a scalar, a list, a map or `()`, and such a type is no message: write that type \
         itself in place of `{ty_name}`, or make it a `#[message]` struct"
    );
    let probe = quote_spanned!(ty.span()=> ::rpc_core::private::assert!(!::rpc_core::private::Probe::<#ty>::IS_SCALAR, #message););
    quote! {
        #(#cfgs)*
        const _: () = {
            #[allow(unused_imports)]
            use ::rpc_core::private::NotScalar as _;
            #probe
        };
    }
}
