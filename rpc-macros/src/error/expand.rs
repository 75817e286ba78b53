//! The two conversions, and a message for the fields of each variant.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::DeriveInput;

use crate::case;
use crate::error::ast::{ErrorEnum, Variant};
use crate::error::format;

/// `From<Status>` and `Into<Status>`.
pub(super) fn conversions(error: &ErrorEnum<'_>) -> TokenStream {
    let ErrorEnum { ident, status, variants } = error;
    let messages = variants.iter().map(message);
    let to_status = variants.iter().map(|variant| to_status(ident, variant));
    let from_status = variants.iter().map(from_status);
    quote! {
        #[allow(deprecated, unreachable_pub, non_camel_case_types, clippy::all)]
        const _: () = {
            #(#messages)*

            impl ::rpc_core::private::convert::From<#ident> for ::rpc_core::private::Status {
                fn from(error: #ident) -> Self {
                    match error {
                        #(#to_status)*
                        #ident::#status(status) => status,
                    }
                }
            }

            impl ::rpc_core::private::convert::From<::rpc_core::private::Status> for #ident {
                fn from(status: ::rpc_core::private::Status) -> Self {
                    #(#from_status)*
                    Self::#status(status)
                }
            }
        };
    }
}

/// The errors, and conversions that nobody will run: a trait that returns this error is not reported as well.
pub(super) fn fallback(item: &DeriveInput, errors: &syn::Error) -> TokenStream {
    let errors = errors.to_compile_error();
    let ident = &item.ident;
    let (generics, types, clause) = item.generics.split_for_impl();
    quote! {
        #errors
        const _: () = {
            impl #generics ::rpc_core::private::convert::From<#ident #types> for ::rpc_core::private::Status #clause {
                fn from(_: #ident #types) -> Self {
                    loop {}
                }
            }
            impl #generics ::rpc_core::private::convert::From<::rpc_core::private::Status> for #ident #types #clause {
                fn from(_: ::rpc_core::private::Status) -> Self {
                    loop {}
                }
            }
        };
    }
}

/// The message type of a variant: a struct with its fields, or the empty message.
fn message(variant: &Variant<'_>) -> TokenStream {
    if variant.fields.is_empty() {
        return quote!();
    }
    let name = message_name(variant);
    let fields = variant.fields.iter().map(|(name, ty)| quote!(#name: #ty));
    quote! {
        #[::rpc_core::private::message]
        pub struct #name { #(#fields),* }
    }
}

fn message_name(variant: &Variant<'_>) -> Ident {
    case::ident(&format!("__{}", case::plain(variant.ident)), variant.ident.span())
}

/// An arm of the match: a message from the fields, then the fields into a detail.
///
/// Without variables of its own: any name could be a field's.
fn to_status(error: &Ident, variant: &Variant<'_>) -> TokenStream {
    let Variant { type_name, code, .. } = variant;
    let text = format::with_names(&variant.message);
    let pattern = pattern(variant);
    let message = match variant.fields.is_empty() {
        true => quote!(<::rpc_core::private::Empty as ::rpc_core::private::default::Default>::default()),
        false => {
            let name = message_name(variant);
            let names = names(variant);
            quote!(#name { #(#names),* })
        }
    };
    quote! {
        #error::#pattern => ::rpc_core::private::typed_status(
            ::rpc_core::private::Code::#code,
            ::rpc_core::private::format!(#text),
            #type_name,
            &#message,
        ),
    }
}

/// An attempt to find the variant in a status.
fn from_status(variant: &Variant<'_>) -> TokenStream {
    let Variant { type_name, code, .. } = variant;
    let pattern = pattern(variant);
    let message = match variant.fields.is_empty() {
        true => quote!(_),
        false => {
            let name = message_name(variant);
            let names = names(variant);
            quote!(#name { #(#names),* })
        }
    };
    let of = match variant.fields.is_empty() {
        true => quote!(::rpc_core::private::Empty),
        false => message_name(variant).into_token_stream(),
    };
    quote! {
        if let ::rpc_core::private::option::Option::Some(#message) =
            ::rpc_core::private::typed_detail::<#of>(&status, ::rpc_core::private::Code::#code, #type_name)
        {
            return Self::#pattern;
        }
    }
}

fn names<'a>(variant: &'a Variant<'_>) -> impl Iterator<Item = &'a Ident> {
    variant.fields.iter().map(|(name, _)| name)
}

/// The variant with its fields by name: a pattern and, as it happens, an expression.
fn pattern(variant: &Variant<'_>) -> TokenStream {
    let ident = variant.ident;
    let names = names(variant);
    match variant.is_tuple {
        true => quote!(#ident(#(#names),*)),
        false => quote!(#ident { #(#names),* }),
    }
}
