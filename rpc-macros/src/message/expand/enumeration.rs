//! Enums without data: names for numbers.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::super::ast::{Message, Other, Value};

/// Something of the type that keeps an unknown number.
fn unknown(ty: &Type, of: &str) -> TokenStream {
    let (span, of) = (ty.span(), Ident::new(of, ty.span()));
    quote_spanned!(span=> <#ty as ::rpc_core::private::field::UnknownNumber>::#of)
}

/// Everything for an enum without data.
pub(super) fn value(message: &Message, values: &[Value]) -> TokenStream {
    let (ident, full_name, docs) = (&message.ident, &message.name.value, &message.docs);
    let known = || values.iter().filter(|value| !matches!(value.other, Some(Other::Number(..))));
    let keeps = values.iter().find_map(|value| match &value.other {
        Some(Other::Number(_, ty)) => Some((&value.ident, ty)),
        _ => None,
    });
    let forgets = values.iter().find(|value| matches!(value.other, Some(Other::Unit(_))));

    let schema = known().map(|value| {
        let (name, number) = (&value.name.value, value.number.value);
        quote!((#name, #number))
    });
    let numbers = known().map(|value| {
        let (variant, number) = (&value.ident, value.number.value);
        quote!(Self::#variant => #number,)
    });
    let kept_number = keeps.map(|(variant, ty)| {
        let get = unknown(ty, "get");
        quote!(Self::#variant(number) => #get(number),)
    });
    let from_numbers = known().map(|value| {
        let (variant, number) = (&value.ident, value.number.value);
        quote!(#number => Self::#variant,)
    });
    let unknown_number = match (keeps, forgets) {
        (Some((variant, ty)), _) => {
            let new = unknown(ty, "new");
            quote!(number => Self::#variant(#new(number)),)
        }
        (None, Some(Value { ident, .. })) => quote!(_ => Self::#ident,),
        (None, None) => quote!(_ => return ::rpc_core::private::option::Option::None,),
    };
    let names = known().map(|value| {
        let (variant, name) = (&value.ident, &value.name.value);
        quote!(Self::#variant => #name,)
    });
    let kept_name = keeps
        .map(|(variant, _)| quote!(Self::#variant(_) => return ::rpc_core::private::option::Option::None,));
    let from_names = known().map(|value| {
        let (variant, name, short) = (&value.ident, &value.name.value, &value.short);
        let names = if name == short { quote!(#name) } else { quote!(#name | #short) };
        quote!(#names => Self::#variant,)
    });
    let unknown_name = match forgets {
        Some(Value { ident, .. }) => quote!(_ => Self::#ident,),
        None => quote!(_ => return ::rpc_core::private::option::Option::None,),
    };
    quote! {
        #[automatically_derived]
        impl ::rpc_core::private::field::Enumeration for #ident {
            const SCHEMA: &'static ::rpc_core::private::field::EnumSchema =
                &::rpc_core::private::field::EnumSchema::new(#full_name, &[#(#schema),*], #docs);

            #[inline]
            fn number(&self) -> i32 {
                match self { #(#numbers)* #kept_number }
            }

            #[inline]
            fn from_number(number: i32) -> ::rpc_core::private::option::Option<Self> {
                ::rpc_core::private::option::Option::Some(match number { #(#from_numbers)* #unknown_number })
            }

            #[inline]
            fn name(&self) -> ::rpc_core::private::option::Option<&'static str> {
                ::rpc_core::private::option::Option::Some(match self { #(#names)* #kept_name })
            }

            fn from_name(name: &str) -> ::rpc_core::private::option::Option<Self> {
                ::rpc_core::private::option::Option::Some(match name { #(#from_names)* #unknown_name })
            }
        }

        ::rpc_core::private::field::enum_field!(#ident);
    }
}
