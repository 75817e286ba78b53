//! The two conversions, a message for the fields of each variant, and what makes it an error of Rust's.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::DeriveInput;

use crate::case;
use crate::error::ast::{ErrorEnum, Variant};
use crate::error::format;

/// `From<Status>` and `Into<Status>`.
pub(super) fn conversions(error: &ErrorEnum<'_>) -> TokenStream {
    let ErrorEnum { ident, status, variants, .. } = error;
    let messages = variants.iter().map(message);
    let to_status = variants.iter().map(|variant| to_status(ident, variant));
    let from_status = variants.iter().map(from_status);
    let texts = variants.iter().map(|variant| text(ident, variant));
    let std_error = (!error.own_display).then(|| std_error(error));
    quote! {
        #[allow(
            deprecated, unreachable_patterns, unreachable_pub, unused_variables, non_camel_case_types, clippy::all
        )]
        const _: () = {
            #(#messages)*

            // The message is made apart from the match that takes the error apart: there any name could be a field's.
            fn text(error: &#ident) -> ::rpc_core::private::string::String {
                match error {
                    #(#texts)*
                    #ident::#status(status) => ::rpc_core::private::string::ToString::to_string(status),
                }
            }

            #std_error

            impl ::rpc_core::private::convert::From<#ident> for ::rpc_core::private::Status {
                fn from(error: #ident) -> Self {
                    let error = match error {
                        #ident::#status(status) => return status,
                        error => error,
                    };
                    let text = text(&error);
                    let status = match error {
                        #(#to_status)*
                        #ident::#status(status) => status,
                    };
                    status.with_message(text)
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

/// `Display`, with the message of the status, and `Error`.
fn std_error(error: &ErrorEnum<'_>) -> TokenStream {
    let ErrorEnum { ident, status, .. } = error;
    quote! {
        impl ::rpc_core::private::fmt::Display for #ident {
            fn fmt(&self, f: &mut ::rpc_core::private::fmt::Formatter<'_>) -> ::rpc_core::private::fmt::Result {
                f.write_str(&text(self))
            }
        }

        impl ::rpc_core::private::error::Error for #ident {
            fn source(
                &self,
            ) -> ::rpc_core::private::option::Option<&(dyn ::rpc_core::private::error::Error + 'static)> {
                match self {
                    // It speaks for the status, so what caused the status caused it.
                    Self::#status(status) => ::rpc_core::private::error::Error::source(status),
                    _ => ::rpc_core::private::option::Option::None,
                }
            }
        }
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

/// An arm of the match: the message of the status, from the fields.
fn text(error: &Ident, variant: &Variant<'_>) -> TokenStream {
    let text = format::with_names(&variant.message);
    let pattern = pattern(variant);
    quote!(#error::#pattern => ::rpc_core::private::format!(#text),)
}

/// An arm of the match: the fields into a detail.
///
/// Without variables of its own: any name could be a field's.
fn to_status(error: &Ident, variant: &Variant<'_>) -> TokenStream {
    let Variant { type_name, code, .. } = variant;
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
