//! What travels: the request and the reply of each method, and the `Method` that ties them to it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use crate::service::ast::{Method, Reply, Request, Service, Value};
use crate::spelling;

/// The generated messages of a method, and its `Method`.
pub(super) fn messages(service: &Service<'_>, method: &Method<'_>) -> TokenStream {
    let Method { cfgs, marker, output, error, .. } = method;
    let module = &service.module;
    let (request, request_type) = request(method);
    let (reply, reply_type) = match &method.reply {
        Reply::One(value) | Reply::Stream(value) => message_of(method, value),
    };
    let given = quote!(given);
    let output_value = quote!(output);
    let (from_given, to_given) = match &method.reply {
        Reply::One(value) => (unwrap(value, &quote!(given.0)), in_one(&wrap(value, &output_value))),
        Reply::Stream(value) => (unwrap_items(value, &given), wrap_items(value, &output_value)),
    };
    let input_type = match &method.request {
        Request::Stream(..) => quote!(::rpc_core::private::Streaming<#request_type>),
        _ => quote!(::rpc_core::private::One<#request_type>),
    };
    let given_type = match &method.reply {
        Reply::Stream(_) => quote!(::rpc_core::private::Streaming<#reply_type>),
        Reply::One(_) => quote!(::rpc_core::private::One<#reply_type>),
    };

    // Each codec is named once for each message, at the message's place: a type that cannot travel is reported there.
    let request_span = match &method.request {
        Request::Body(_, ty) | Request::Stream(_, Value::Body(ty)) => ty.span(),
        _ => method.ident().span(),
    };
    let reply_span = match &method.reply {
        Reply::Stream(Value::Body(ty)) => ty.span(),
        _ => output.span(),
    };
    let codecs = service.codecs.iter().map(|codec| {
        let (for_request, for_reply) = (codec.path(request_span), codec.path(reply_span));
        quote!(::rpc_core::private::codec_fns::<Self, #for_request, #for_reply>())
    });

    // At the places of the types as well: one that is less visible than the service is reported where it stands.
    let types = [
        quote_spanned!(request_span=> type Request = #request_type;),
        quote_spanned!(output.span()=> type Reply = #reply_type;),
        quote_spanned!(request_span=> type Input = #input_type;),
        quote_spanned!(output.span()=> type Given = #given_type;),
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

            fn output(given: Self::Given) -> Self::Output {
                #from_given
            }

            fn given(output: Self::Output) -> Self::Given {
                #to_given
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
        Request::Stream(_, value) => message_of(method, value),
    }
}

/// The struct or the checks of a value that travels alone, and the type of its message.
fn message_of(method: &Method<'_>, value: &Value<'_>) -> (TokenStream, TokenStream) {
    let cfgs = &method.cfgs;
    match value {
        Value::Empty => (quote!(), quote!(::rpc_core::private::Empty)),
        Value::Body(ty) => (not_a_scalar(method, ty), quote!(#ty)),
        Value::Wrapped(message, ty) => {
            let item = quote! {
                #(#cfgs)*
                #[::rpc_core::private::message]
                pub struct #message { value: #ty }
            };
            (item, quote!(#message))
        }
    }
}

/// The value, of its message.
fn unwrap(value: &Value<'_>, message: &TokenStream) -> TokenStream {
    match value {
        Value::Empty => quote!({
            let _ = #message;
        }),
        Value::Body(_) => quote!(#message),
        Value::Wrapped(..) => quote!(#message.value),
    }
}

/// The message of a value.
fn wrap(value: &Value<'_>, inside: &TokenStream) -> TokenStream {
    match value {
        Value::Empty => quote!({
            let () = #inside;
            <::rpc_core::private::Empty as ::rpc_core::private::default::Default>::default()
        }),
        Value::Body(_) => quote!(#inside),
        Value::Wrapped(message, _) => quote!(#message { value: #inside }),
    }
}

/// One message, as what goes or comes.
pub(super) fn in_one(message: &TokenStream) -> TokenStream {
    quote!(::rpc_core::private::One(#message))
}

/// A stream of values, of the stream of their messages.
pub(super) fn unwrap_items(value: &Value<'_>, stream: &TokenStream) -> TokenStream {
    match value {
        Value::Body(_) => quote!(#stream),
        value => {
            let item = unwrap(value, &quote!(message));
            quote!(::rpc_core::private::map_items(#stream, |message| #item))
        }
    }
}

/// The stream of the messages of a stream of values.
pub(super) fn wrap_items(value: &Value<'_>, stream: &TokenStream) -> TokenStream {
    match value {
        Value::Body(_) => quote!(#stream),
        value => {
            let item = wrap(value, &quote!(value));
            quote!(::rpc_core::private::map_items(#stream, |value| #item))
        }
    }
}

/// Refuses an alias of a scalar, of `()` or of a stream.
///
/// A scalar has a protobuf form of its own (prost gives `String` and its like the form of the well-known wrappers),
/// so nothing else would stop it; but its form would not be what the spelled-out type has. A stream is no message, which
/// the compiler says too, but not that the name is what hides it from us.
fn not_a_scalar(method: &Method<'_>, ty: &Type) -> TokenStream {
    let cfgs = &method.cfgs;
    let ty_name = spelling::spell(ty);
    let message = format!(
        "`{ty_name}` is another name for a scalar, a list, a map or `()`, and such a type is no message: write that type \
         itself in place of `{ty_name}`, or make it a `#[message]` struct"
    );
    let stream = format!(
        "`{ty_name}` is another name for a stream, and a macro sees names, not types: write `Streaming<T>` itself in place \
         of `{ty_name}`"
    );
    let probe = quote_spanned! {ty.span()=>
        ::rpc_core::private::assert!(!::rpc_core::private::Probe::<#ty>::IS_STREAM, #stream);
        ::rpc_core::private::assert!(!::rpc_core::private::Probe::<#ty>::IS_SCALAR, #message);
    };
    quote! {
        #(#cfgs)*
        const _: () = {
            #[allow(unused_imports)]
            use ::rpc_core::private::NotScalar as _;
            #probe
        };
    }
}
