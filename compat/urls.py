"""The earlier addresses, as they were: in the mixed case of their time, without a slash."""

from django.urls import path

from compat import views

urlpatterns = [
    # version 1
    path("addproduct", views.FirstAddProduct.as_view()),
    path("addQuantity/<str:product_id>", views.FirstAddQuantity.as_view()),
    path("getCurrentStock/<str:product_id>", views.FirstCurrentStock.as_view()),
    # version 2
    path("createProduct", views.SecondCreateProduct.as_view()),
    path("allProducts", views.SecondProducts.as_view()),
    path("addStore", views.SecondAddStore.as_view()),
    path("allStores", views.SecondStores.as_view()),
    path("stock/store/<str:store_id>", views.SecondStockOfStore.as_view()),
    path("stock/<str:store_id>/<str:product_id>", views.MoveStock.as_view()),
    path("stockMovement", views.SecondHistory.as_view()),
    # version 3
    path("api/product/addProduct", views.ThirdAddProduct.as_view()),
    path("api/product/products", views.ThirdProducts.as_view()),
    path("api/store/addStore", views.ThirdAddStore.as_view()),
    path("api/store/stores", views.ThirdStores.as_view()),
    path("api/inventory/stores/<str:store_id>/stock/<str:product_id>", views.MoveStock.as_view()),
    path("api/order/orderProduct/<str:product_id>", views.ThirdOrder.as_view()),
]
